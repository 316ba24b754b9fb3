// Stands in for std_msgs/msg/u_int8.hpp in a test.
#pragma once
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

namespace std_msgs::msg {

struct UInt8 {
    using ConstSharedPtr = std::shared_ptr<const UInt8>;
    std::uint8_t data = 0;
    void print() const
    {
        std::printf(" %d", static_cast<int>(data));
    }
};

}  // namespace std_msgs::msg
