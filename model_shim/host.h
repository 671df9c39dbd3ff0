// host.h - the caller's side of one run: its callbacks, in C++. A callback that asks to stop becomes MDL_ECANCELED.
#pragma once
#include "model.h"

namespace mdl
{

class Host
{
  public:
    // Refuses parameters without the callbacks that a run needs. `p` must outlive the host.
    explicit Host(const mdl_params &p);

    void source(int64_t index, uint8_t *rgb) const;
    void frames(const uint8_t *rgb, int64_t first_frame, int32_t n, int32_t width, int32_t height) const;
    void segment(const mdl_segment &s) const;
    void history(int64_t index, uint8_t *rgb) const;
    void progress(const mdl_progress &at) const;

  private:
    const mdl_params &params;
};

} // namespace mdl
