// stage.cc - see stage.h.
#include "train/stage.h"

#include <ATen/autocast_mode.h>

namespace mdl
{

ForwardScope::ForwardScope(const Bench &b)
    : device_(b.compute.device.type()), autocast_(b.settings.autocast != 0), recompute_(b.settings.recompute != 0)
{
    if (!autocast_)
        return;
    at::autocast::set_autocast_dtype(device_, at::kBFloat16);
    at::autocast::set_autocast_enabled(device_, true);
    at::autocast::increment_nesting();
}

ForwardScope::~ForwardScope()
{
    if (!autocast_)
        return;
    if (at::autocast::decrement_nesting() == 0)
        at::autocast::clear_cache(); // of weights in bfloat16, which change with the next step
    at::autocast::set_autocast_enabled(device_, false);
}

} // namespace mdl
