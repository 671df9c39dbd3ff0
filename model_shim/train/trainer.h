// trainer.h - one training run: which weights train on which stage, the loop over steps, checkpoints, the exported
// model.
#pragma once
#include "device.h"
#include "train/optimizer.h"
#include "train/stage.h"

#include <memory>
#include <string>

namespace mdl
{

// The defaults of a stage, and the settings that the caller gave over them, checked. Throws Error(MDL_EINVAL).
mdl_train_settings default_settings(int32_t stage);
void check_settings(const mdl_train_settings &s);

class Trainer
{
  public:
    Trainer(const std::string &model, const std::string &work, const mdl_train_settings &s, const mdl_options &o);

    const std::string &describe();
    void lines(const uint8_t *rgb, int32_t frames, uint8_t *lines);
    // Returns false when on_step asked to stop.
    bool run(const mdl_train_hooks &r);
    void write_model(const std::string &folder, int32_t store);

  private:
    struct Pass {
        double loss, reward, data_seconds;
    };

    void load();
    Pass pass(const mdl_train_hooks &r, int32_t number);
    mdl_train_step step(const mdl_train_hooks &r);
    void save();
    NamedTensors tensors() const; // of a checkpoint
    std::string fingerprint() const;

    std::string prompt_, parts_, work_; // what the settings' pointers point at
    mdl_train_settings settings_;
    Compute compute_;
    Manifest manifest_;
    Parameters parameters_;
    Components components_;
    NetworkSize size_;
    int64_t frames_;
    std::unique_ptr<Bench> bench_;
    std::unique_ptr<Stage> stage_;
    std::unique_ptr<Optimizer> optimizer_;
    int64_t step_ = 0, saved_ = -1;
    int left_out_ = 0; // steps in a row
    std::string about_;
};

} // namespace mdl
