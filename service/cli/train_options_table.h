/* train_options_table.h - the arguments of `longanim train`, in the order of --help; included with the macros defined.
 * Each row is a field of struct train_options.
 *   TRAIN_TEXT(field, flag, letter, value, doc)      as given, NULL = not given
 *   TRAIN_SWITCH(field, flag, doc)                   of struct mdl_train_settings where it has that field
 *   TRAIN_COUNT, TRAIN_STEPS, TRAIN_REAL(field, flag, doc)
 *                                                    over the stage's value of the same name in struct
 *                                                    mdl_train_settings: an int32_t, an int64_t, a double
 *   TRAIN_OWN_COUNT, TRAIN_OWN_SHARE(field, flag, default, doc)
 *                                                    of the command itself */
#ifndef TRAIN_TEXT
#define TRAIN_TEXT(...)
#endif
#ifndef TRAIN_SWITCH
#define TRAIN_SWITCH(...)
#endif
#ifndef TRAIN_COUNT
#define TRAIN_COUNT(...)
#endif
#ifndef TRAIN_STEPS
#define TRAIN_STEPS(...)
#endif
#ifndef TRAIN_REAL
#define TRAIN_REAL(...)
#endif
#ifndef TRAIN_OWN_COUNT
#define TRAIN_OWN_COUNT(...)
#endif
#ifndef TRAIN_OWN_SHARE
#define TRAIN_OWN_SHARE(...)
#endif
/* clang-format off */
TRAIN_TEXT(model, "--model", 0, "DIR", "the model that is trained on; it stays as it is")
TRAIN_TEXT(data, "--data", 0, "DIR", "shots: videos, zips or folders of frames; NAME.lines.* beside them is their line art, NAME.txt their prompt")
TRAIN_TEXT(work, "--work", 0, "DIR", "checkpoint, log.jsonl, loss.svg; a run in it goes on where it stopped")
TRAIN_TEXT(out, "--out", 'o', "DIR", "write the trained model there at the end")
TRAIN_TEXT(stage, "--stage", 0, "NAME", "vae, sketch, memory or reward (sketch)")
TRAIN_TEXT(parts, "--parts", 0, "LIST", "what trains, separated by commas, e.g. transformer,sketch_dit; --dry-run lists all (the stage's own)")
TRAIN_SWITCH(dry_run, "--dry-run", "only say what would train, and how large it is")
TRAIN_TEXT(size, "--size", 0, "WxH", "of the samples, multiples of 16 (the model's)")
TRAIN_COUNT(frames, "--frames", "of a sample, 8n+1 (the model's segment)")
TRAIN_STEPS(steps, "--steps", "steps in all (1000)")
TRAIN_COUNT(batch, "--batch", "samples of one pass (vae 4, sketch 2, else 1)")
TRAIN_COUNT(accumulate, "--accumulate", "passes of one step (1)")
TRAIN_TEXT(optimizer, "--optimizer", 0, "NAME", "adamw, or muon for the matrices of blocks (adamw)")
TRAIN_REAL(learning_rate, "--learning-rate", "(vae 1e-4, reward 1e-5, else 5e-5)")
TRAIN_TEXT(schedule, "--schedule", 0, "NAME", "constant, linear or cosine (cosine)")
TRAIN_STEPS(warmup_steps, "--warmup", "steps over which the rate rises (100)")
TRAIN_REAL(flat_share, "--flat", "share of the steps before the rate falls (0)")
TRAIN_REAL(final_share, "--final", "share of the rate that is left at the end (0.02)")
TRAIN_REAL(beta1, "--beta1", "(0.9)")
TRAIN_REAL(beta2, "--beta2", "(0.98)")
TRAIN_REAL(weight_decay, "--weight-decay", "(0.01)")
TRAIN_REAL(clip, "--clip", "largest norm of the gradient, 0 = any (1)")
TRAIN_REAL(ema, "--ema", "decay of the averaged weights, 0 = none (0.998; reward 0)")
TRAIN_STEPS(seed, "--seed", "of everything random (1)")
TRAIN_SWITCH(recompute, "--recompute", "keep only the blocks' inputs: less memory, a third more time")
TRAIN_SWITCH(autocast, "--autocast", "products in bfloat16")
TRAIN_STEPS(checkpoint_steps, "--checkpoint-steps", "between checkpoints (500)")
TRAIN_OWN_COUNT(log_steps, "--log-steps", 10, "between lines of the log (10)")
TRAIN_TEXT(lines, "--lines", 0, "HOW", "given, network (the model's), borders (of flat paint), or auto: given where there are any, else network")
TRAIN_TEXT(cache, "--cache", 0, "DIR", "decoded frames, raw (WORK/cache)")
TRAIN_OWN_COUNT(loaders, "--loaders", 2, "threads that read shots (2)")
TRAIN_TEXT(prompt, "--prompt", 0, "TEXT", "of shots without one of their own")
TRAIN_REAL(prompt_dropout, "--prompt-dropout", "share of samples with the empty prompt (0.1)")
TRAIN_OWN_SHARE(reference_anywhere, "--reference-anywhere", 0.3, "share of references from the whole shot instead of the segment (0.3)")
TRAIN_OWN_SHARE(mirror, "--mirror", 0.5, "share of samples that are mirrored (0.5)")
TRAIN_OWN_SHARE(mirror_reference, "--mirror-reference", 0.1, "share whose reference is mirrored alone (0.1)")
TRAIN_TEXT(times, "--times", 0, "HOW", "time steps: uniform, or high: the more the noisier (uniform)")
TRAIN_REAL(pure_noise_share, "--pure-noise", "share of samples at the last time step (0.25)")
TRAIN_REAL(pad_weight, "--pad-weight", "of the padding frame in the loss (0.4)")
TRAIN_OWN_COUNT(history_frames, "--history-frames", 650, "stage memory: frames before at most (650)")
TRAIN_TEXT(crop, "--crop", 0, "WxH", "stage vae: parts of the samples, multiples of 8 (whole)")
TRAIN_REAL(vae_line_share, "--line-share", "stage vae: share of samples that are lines (0.35)")
TRAIN_TEXT(reward, "--reward", 0, "HOW", "stage reward: score, or direct through the last step (score)")
TRAIN_COUNT(reward_steps, "--reward-steps", "denoising steps of a sampling (30)")
TRAIN_COUNT(reward_group, "--reward-group", "samplings that are compared (4)")
TRAIN_COUNT(reward_taken, "--reward-taken", "steps of a sampling that are learnt from (4)")
TRAIN_TEXT(store, "--store", 0, "TYPE", "f32, f16 or bf16: the trained weights in --out (f16)")
/* clang-format on */
#undef TRAIN_TEXT
#undef TRAIN_SWITCH
#undef TRAIN_COUNT
#undef TRAIN_STEPS
#undef TRAIN_REAL
#undef TRAIN_OWN_COUNT
#undef TRAIN_OWN_SHARE
