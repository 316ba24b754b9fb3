// The test's part of the node: observations, ticks, and what came out.
#include <chrono>
#include <cmath>

#include "rclcpp/rclcpp.hpp"

namespace {

std::chrono::nanoseconds uptime{0};

}  // namespace

// In place of the library's: time passes as the test says.
std::chrono::steady_clock::time_point std::chrono::steady_clock::now() noexcept
{
    return time_point(uptime);
}

namespace rclcpp {

void spin(const Node::SharedPtr &node)
{
    std::vector<float> observation(FEATURES, 0.25F);
    node->tick();  // nothing was observed yet
    node->feed(observation);
    node->tick();
    node->feed(std::vector<float>(FEATURES + 1, 0.0F));  // ignored
    node->tick();
    observation[READ] = NAN;
    node->feed(observation);
    node->tick();
    node->time = 1000.0;  // the system's clock is set, no time has passed
    node->tick();
    node->time = 1.0;  // and set back, while the sensor is dead
    uptime += std::chrono::seconds(1);
    node->tick();  // stale
    for (const auto &show : node->shown) {
        show();
    }
}

}  // namespace rclcpp
