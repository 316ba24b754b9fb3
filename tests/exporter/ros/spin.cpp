// The test's part of the node: observations, ticks, and what came out.
#include <cmath>

#include "rclcpp/rclcpp.hpp"

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
    node->time = 1000.0;  // stale
    node->tick();
    for (const auto &show : node->shown) {
        show();
    }
}

}  // namespace rclcpp
