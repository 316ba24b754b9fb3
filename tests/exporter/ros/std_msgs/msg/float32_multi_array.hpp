// Stands in for std_msgs/msg/float32_multi_array.hpp in a test.
#pragma once
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

namespace std_msgs::msg {

struct Float32MultiArray {
    using ConstSharedPtr = std::shared_ptr<const Float32MultiArray>;
    std::vector<float> data;
    void print() const
    {
        for (float value : data) {
            std::printf(" %.9g", static_cast<double>(value));
        }
        std::printf(";");
    }
};

}  // namespace std_msgs::msg
