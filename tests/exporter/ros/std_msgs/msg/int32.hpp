// Stands in for std_msgs/msg/int32.hpp in a test.
#pragma once
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

namespace std_msgs::msg {

struct Int32 {
    using ConstSharedPtr = std::shared_ptr<const Int32>;
    std::int32_t data = 0;
    void print() const
    {
        std::printf(" %d", static_cast<int>(data));
    }
};

}  // namespace std_msgs::msg
