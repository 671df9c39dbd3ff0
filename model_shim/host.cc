// host.cc - the callbacks of one run.
#include "host.h"

#include "error.h"

namespace mdl
{
namespace
{

void stop_if(int asked, const char *where)
{
    if (asked)
        fail(MDL_ECANCELED, "the caller stopped the run (%s)", where);
}

} // namespace

Host::Host(const mdl_params &p) : params(p)
{
    if (!p.on_source || !p.on_frames)
        throw Error(MDL_EINVAL, "on_source and on_frames are needed to run");
}

void Host::source(int64_t index, uint8_t *rgb) const
{
    stop_if(params.on_source(params.user, index, rgb), "on_source");
}

void Host::frames(const uint8_t *rgb, int64_t first_frame, int32_t n, int32_t width, int32_t height) const
{
    stop_if(params.on_frames(params.user, rgb, first_frame, n, width, height), "on_frames");
}

void Host::segment(const mdl_segment &s) const
{
    if (params.on_segment)
        stop_if(params.on_segment(params.user, &s), "on_segment");
}

void Host::history(int64_t index, uint8_t *rgb) const
{
    if (!params.on_history)
        throw Error(MDL_EINVAL, "on_history is needed to resume this run");
    stop_if(params.on_history(params.user, index, rgb), "on_history");
}

void Host::progress(const mdl_progress &at) const
{
    if (params.on_progress)
        stop_if(params.on_progress(params.user, &at), "on_progress");
}

} // namespace mdl
