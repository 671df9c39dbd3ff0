"""model_shim/include/model.h through ctypes: one run of a model folder, as much of it as an evaluation needs."""
import ctypes as c

import numpy as np

SOURCE = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_int64, c.POINTER(c.c_uint8))
FRAMES = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(c.c_uint8), c.c_int64, c.c_int32, c.c_int32, c.c_int32)
HISTORY = SOURCE


class Error(c.Structure):
    _fields_ = [("code", c.c_int32), ("text", c.c_char * 508)]


class Options(c.Structure):
    _fields_ = [("size", c.c_uint32), ("device", c.c_int32), ("device_index", c.c_int32), ("dtype", c.c_int32),
                ("threads", c.c_int32), ("vram_budget_bytes", c.c_int64)]


class Segment(c.Structure):
    _fields_ = [("index", c.c_int32), ("segments", c.c_int32), ("first_frame", c.c_int64), ("frames", c.c_int32),
                ("state", c.c_void_p), ("state_size_bytes", c.c_uint64)]


SEGMENT = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(Segment))


class Image(c.Structure):
    _fields_ = [("rgb", c.c_void_p), ("width", c.c_int32), ("height", c.c_int32)]


class Params(c.Structure):
    _fields_ = [("size", c.c_uint32), ("input_width", c.c_int32), ("input_height", c.c_int32), ("frames", c.c_int64),
                ("width", c.c_int32), ("height", c.c_int32), ("steps", c.c_int32), ("guidance_scale", c.c_float),
                ("control_scale", c.c_float), ("seed", c.c_uint64), ("prompt", c.c_char_p), ("negative_prompt", c.c_char_p),
                *[(name, c.c_int32) for name in ("profile", "input_kind", "reference_strategy", "injection", "speed",
                                                 "memory_global", "memory_local", "memory_global_frames",
                                                 "memory_local_frames", "fusion", "fusion_first_step")],
                ("references", c.POINTER(Image)), ("reference_count", c.c_int32), ("resume_segment", c.c_int32),
                ("resume_state", c.c_void_p), ("resume_state_size_bytes", c.c_uint64), ("on_source", SOURCE),
                ("on_frames", FRAMES), ("on_segment", SEGMENT), ("on_history", HISTORY), ("on_progress", c.c_void_p),
                ("user", c.c_void_p)]


class Model:
    def __init__(self, library, folder, threads):
        self.lib, self.handle, error, options = c.CDLL(str(library)), c.c_void_p(), Error(), Options()
        self.lib.mdl_options_init(c.byref(options), c.sizeof(options))
        options.threads = threads
        self.check(self.lib.mdl_open(c.byref(self.handle), b"longanimation", str(folder).encode(), c.byref(options),
                                     c.byref(error)), error)

    @staticmethod
    def check(code, error):
        if code:
            raise RuntimeError(error.text.decode())

    def run(self, lines, reference, memory, fusion=True, resume=None, history=None, stop_after=None, seed=7):
        """lines: uint8 [T,h,w,3], dark on white; reference uint8 [h,w,3]; memory: bool.
        resume: (segment, state) with history: uint8 frames [n,H,W,3] standing for those delivered before.
        stop_after: a segment. -> delivered frames by index, state of the last complete segment."""
        p, error, out, states = Params(), Error(), {}, []
        self.lib.mdl_params_init(c.byref(p), c.sizeof(p))
        lines, reference = np.ascontiguousarray(lines), np.ascontiguousarray(reference)
        p.frames, p.input_height, p.input_width = lines.shape[:3]
        p.input_kind, p.seed, p.memory_global, p.memory_local, p.fusion = 0, seed, int(memory), int(memory), int(fusion)
        image = Image(reference.ctypes.data, reference.shape[1], reference.shape[0])
        p.references, p.reference_count = c.pointer(image), 1

        def source(_, index, rgb):
            c.memmove(rgb, lines[index].ctypes.data, lines[index].nbytes)
            return 0

        def frames(_, rgb, first, n, width, height):
            for i, frame in enumerate(np.ctypeslib.as_array(rgb, (n, height, width, 3)).copy()):
                out[first + i] = frame
            return 0

        def segment(_, s):
            states.append(c.string_at(s.contents.state, s.contents.state_size_bytes))
            return int(stop_after is not None and s.contents.index >= stop_after)

        def past(_, index, rgb):
            frame = np.ascontiguousarray(history[index])
            c.memmove(rgb, frame.ctypes.data, frame.nbytes)
            return 0

        p.on_source, p.on_frames, p.on_segment, p.on_history = SOURCE(source), FRAMES(frames), SEGMENT(segment), HISTORY(past)
        if resume:
            p.resume_segment, state = resume
            kept = c.create_string_buffer(state, len(state))
            p.resume_state, p.resume_state_size_bytes = c.cast(kept, c.c_void_p), len(state)
        code = self.lib.mdl_run(self.handle, c.byref(p), c.byref(error))
        if not (stop_after is not None and states):
            self.check(code, error)
        return out, states[-1]

    def close(self):
        self.lib.mdl_close(self.handle)
