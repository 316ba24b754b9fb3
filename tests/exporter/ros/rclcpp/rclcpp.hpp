// Stands in for rclcpp in a test: the declarations that the example uses, as ROS 2 Humble has them,
// with just enough behind them to run a node for some timer ticks.
#pragma once
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rclcpp {

struct Duration {
    double value = 0.0;
    double seconds() const { return value; }
};

struct Time {
    double value = 0.0;
    Duration operator-(const Time &other) const { return Duration{value - other.value}; }
};

struct Clock {};
struct Logger {};

struct KeepLast {
    explicit KeepLast(std::size_t depth) { (void)depth; }
};

class QoS {
public:
    explicit QoS(const KeepLast &) {}
    QoS &keep_last(std::size_t) { return *this; }
    QoS &reliable() { return *this; }
};

class SensorDataQoS : public QoS {
public:
    SensorDataQoS() : QoS(KeepLast(5)) {}
};

template <typename Message>
class Publisher {
public:
    using SharedPtr = std::shared_ptr<Publisher>;
    void publish(const Message &message) { messages.push_back(message); }
    std::vector<Message> messages;
};

template <typename Message>
class Subscription {
public:
    using SharedPtr = std::shared_ptr<Subscription>;
    std::function<void(typename Message::ConstSharedPtr)> callback;
};

class TimerBase {
public:
    using SharedPtr = std::shared_ptr<TimerBase>;
    std::function<void()> callback;
};

class Node {
public:
    using SharedPtr = std::shared_ptr<Node>;
    explicit Node(const std::string &name) { std::printf("node %s\n", name.c_str()); }
    virtual ~Node() = default;

    template <typename Value>
    Value declare_parameter(const std::string &, const Value &value)
    {
        return value;
    }
    template <typename Message, typename Callback>
    typename Subscription<Message>::SharedPtr create_subscription(
        const std::string &, const QoS &, Callback &&callback)
    {
        auto made = std::make_shared<Subscription<Message>>();
        made->callback = callback;
        feed = [made](const std::vector<float> &values) {
            auto message = std::make_shared<Message>();
            message->data = values;
            made->callback(message);
        };
        return made;
    }
    template <typename Message>
    typename Publisher<Message>::SharedPtr create_publisher(const std::string &topic, const QoS &)
    {
        auto made = std::make_shared<Publisher<Message>>();
        shown.push_back([made, topic] {
            std::printf("%s", topic.c_str());
            for (const auto &message : made->messages) {
                message.print();
            }
            std::printf("\n");
        });
        return made;
    }
    template <typename Callback>
    TimerBase::SharedPtr create_wall_timer(std::chrono::nanoseconds period, Callback &&callback)
    {
        std::printf("period %lld ns\n", static_cast<long long>(period.count()));
        tick = callback;
        return std::make_shared<TimerBase>();
    }
    Time now() const { return Time{time}; }
    Logger get_logger() const { return {}; }
    std::shared_ptr<Clock> get_clock() const { return std::make_shared<Clock>(); }

    double time = 0.0;
    std::function<void(const std::vector<float> &)> feed;
    std::function<void()> tick;
    std::vector<std::function<void()>> shown;
};

inline void init(int, char **) {}
inline void shutdown() {}
void spin(const Node::SharedPtr &node);  // the test's

}  // namespace rclcpp

template <typename... Values>
inline void log_values(const rclcpp::Logger &, const rclcpp::Clock &, int, const char *, Values...)
{
}
#define RCLCPP_WARN_THROTTLE(logger, clock, duration, ...) \
    do { \
        if (false) { std::fprintf(stderr, __VA_ARGS__); } \
        log_values(logger, clock, duration, __VA_ARGS__); \
    } while (false)
#define RCLCPP_ERROR_THROTTLE RCLCPP_WARN_THROTTLE
