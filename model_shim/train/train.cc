// train.cc - train.h, function by function: check, call the trainer, translate. No model code.
#include "train.h"

#include "error.h"
#include "guard.h"
#include "train/trainer.h"

#include <cstddef>
#include <cstring>

struct mdl_trainer {
    std::unique_ptr<mdl::Trainer> trainer;
};

namespace
{

// The smallest structs that were ever published: what every caller has filled.
constexpr uint32_t settings_size_min = sizeof(mdl_train_settings);
constexpr uint32_t run_size_min = sizeof(mdl_train_hooks);

mdl::Trainer &trainer_of(mdl_trainer *t)
{
    if (!t)
        throw mdl::Error(MDL_EINVAL, "no trainer");
    return *t->trainer;
}

mdl_options options_of(const mdl_options *o)
{
    mdl_options all{};
    mdl_options_init(&all, sizeof all);
    if (!o)
        return all;
    if (o->size < offsetof(mdl_options, vram_budget_bytes) || o->size > sizeof all)
        throw mdl::Error(MDL_EINVAL, "mdl_options.size is not set: call its init function");
    std::memcpy(&all, o, o->size);
    return all;
}

} // namespace

extern "C" {

void mdl_train_settings_init(mdl_train_settings *s, uint32_t size, int32_t stage) noexcept
{
    mdl_error ignored;
    mdl::guard(&ignored, [&] {
        if (!s || size < sizeof s->size)
            return;
        std::memset(s, 0, size);
        const mdl_train_settings defaults = mdl::default_settings(stage);
        std::memcpy(s, &defaults, size < sizeof defaults ? size : sizeof defaults);
        s->size = size;
    });
}

int mdl_train_open(mdl_trainer **out, const char *model, const char *work, const mdl_train_settings *s,
                   const mdl_options *o, mdl_error *err) noexcept
{
    return mdl::guard(err, [&] {
        if (!out || !model || !s)
            throw mdl::Error(MDL_EINVAL, "mdl_train_open: out, model and settings are needed");
        if (s->size < settings_size_min || s->size > sizeof *s)
            throw mdl::Error(MDL_EINVAL, "mdl_train_settings.size is not set: call its init function");
        mdl::check_settings(*s);
        auto t = std::make_unique<mdl_trainer>();
        t->trainer = std::make_unique<mdl::Trainer>(model, work ? work : "", *s, options_of(o));
        *out = t.release(); // last: on error *out stays as it was
    });
}

const char *mdl_train_describe(mdl_trainer *t) noexcept
{
    const char *text = "{}";
    mdl_error ignored;
    mdl::guard(&ignored, [&] { text = trainer_of(t).describe().c_str(); });
    return text;
}

int mdl_train_lines(mdl_trainer *t, const uint8_t *rgb, int32_t frames, uint8_t *lines, mdl_error *err) noexcept
{
    return mdl::guard(err, [&] {
        if (!rgb || !lines || frames < 1)
            throw mdl::Error(MDL_EINVAL, "mdl_train_lines: frames and a place for lines are needed");
        trainer_of(t).lines(rgb, frames, lines);
    });
}

int mdl_train_run(mdl_trainer *t, const mdl_train_hooks *r, mdl_error *err) noexcept
{
    return mdl::guard(err, [&] {
        if (!r || r->size < run_size_min || r->size > sizeof *r || !r->on_sample)
            throw mdl::Error(MDL_EINVAL, "mdl_train_run: size and on_sample are needed");
        if (!trainer_of(t).run(*r))
            throw mdl::Error(MDL_ECANCELED, "the training was stopped and can go on");
    });
}

int mdl_train_export(mdl_trainer *t, const char *folder, int32_t store, mdl_error *err) noexcept
{
    return mdl::guard(err, [&] {
        if (!folder || !folder[0])
            throw mdl::Error(MDL_EINVAL, "mdl_train_export: a folder is needed");
        trainer_of(t).write_model(folder, store);
    });
}

void mdl_train_close(mdl_trainer *t) noexcept
{
    delete t;
}

} // extern "C"
