# make help lists the targets. One makefile, not recursive; objects and programs go to build/ (B=…).
MAKEFLAGS += --no-builtin-rules
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
.DEFAULT_GOAL := help
SHELL := /bin/bash
comma := ,

B ?= build
LIBTORCH ?= .deps/torch/torch
PYTHON ?= .deps/venv/bin/python
CC := $(shell command -v ccache) gcc
CXX := $(shell command -v ccache) g++
WARN := -Wall -Wextra -Wpedantic -Wshadow $(if $(WERROR),-Werror)
OPT ?= -O2
CFLAGS := -std=c11 -D_GNU_SOURCE -g $(OPT) $(WARN) -Wstrict-prototypes -Wmissing-prototypes -Iservice -I. -Imodel_shim/include -I$(B)/gen -MMD -MP $(SAN)
VERSION := $(shell sed -n 's/^\#define LONGANIM_VERSION "\(.*\)"/\1/p' service/base/version.h)
CXXFLAGS := -std=c++20 -g1 $(OPT) $(WARN) -fPIC -fvisibility=hidden -Imodel_shim -Imodel_shim/include \
	-isystem $(LIBTORCH)/include -isystem $(LIBTORCH)/include/torch/csrc/api/include -D_GLIBCXX_USE_CXX11_ABI=1 -MMD -MP $(SAN)

# ---- sources ----
MAINS := $(wildcard service/*/main.c)
SERVICE := $(filter-out $(MAINS),$(wildcard service/*/*.c))
API := $(filter-out api/main.c,$(wildcard api/*.c))
SHIM := $(shell find model_shim -name '*.cc' 2>/dev/null)
HEADERS := $(wildcard service/*/*.h api/*.h)
FORMATTED = $(shell find service api model_shim tests tools -name '*.[ch]' -o -name '*.cc')
UNIT := $(shell find tests/unit tests/shim -name 'test_*.c' 2>/dev/null)
UNIT_CC := $(shell find tests/unit/model_shim -name 'test_*.cc' 2>/dev/null)
TESTS := $(UNIT:%.c=$(B)/%) $(UNIT_CC:%.cc=$(B)/%)
SUPPORT := $(wildcard tests/support/*.c)
BENCHES := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/*.c))
LUA := $(wildcard service/queue/lua/*.lua)
PROGRAMS := $(B)/longanim $(B)/longanim-api $(B)/longanim-probe $(B)/longanim-worker

# ---- libraries ----
LIBS_AV := -lavformat -lavcodec -lswscale -lavutil -lseccomp -larchive -lz
LIBS_NET := -lhiredis -lcurl
LIBS_BASE := -ljansson -lcrypto -lz -lm -pthread
LIBS_API := -lmicrohttpd $(LIBS_NET) $(LIBS_BASE)
LIBS_ALL := $(LIBS_AV) $(LIBS_NET) $(LIBS_BASE) -ldl
TORCH_CUDA := $(wildcard $(LIBTORCH)/lib/libtorch_cuda.so)
LIBS_TORCH := -L$(LIBTORCH)/lib $(if $(TORCH_CUDA),-Wl$(comma)--no-as-needed -ltorch -ltorch_cuda -lc10_cuda) -ltorch_cpu -lc10 -Wl,--as-needed -lsentencepiece -lcrypto
# The build tree finds the library beside itself; a given LIBTORCH is found where it is.
RPATH_TORCH := $(if $(filter /%,$(LIBTORCH)),$(LIBTORCH)/lib,$$ORIGIN/../$(LIBTORCH)/lib)

# Where `make install-…` puts things; sub-programs are found beside the programs, libtorch where the library looks.
PREFIX ?= /opt/longanim
INTO = $(DESTDIR)$(PREFIX)
COPY ?= cp -rL --reflink=auto

## ---- for people ----
help: ; @sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t16              ## this list
setup: ; @tools/setup                                                                         ## install what building and testing need
build: $(PROGRAMS) $(B)/libmodel_shim.so                                                      ## the programs and the model library, into build/
demo: setup ; @$(MAKE) -s build && demo/run                                                   ## colour the sample shot through the HTTP API
test: setup ; @$(MAKE) -s tests && $(PYTHON) tests/run.py --build $(B)                        ## every test that needs no GPU
tests: build $(TESTS) $(B)/tests/bench/paint_art                                                                         ## build the programs and the tests
check: setup ; @$(MAKE) -s lint                                                               ## format, layers, headers, exports, scripts
lint: format-check layers headers exports rules docs-check deploy-check                                    ## check without setup
parity: build ; @$(B)/longanim parity tests/goldens                                           ## the networks against the reference's numbers
asan: setup ; @$(MAKE) -s tests B=build-asan OPT=-O1 SAN="-fsanitize=address,undefined -fno-omit-frame-pointer" && $(PYTHON) tests/run.py --build build-asan --sanitizer asan  ## the tests under ASan and UBSan
tsan: setup ; @$(MAKE) -s tests B=build-tsan OPT=-O1 SAN="-fsanitize=thread" && $(PYTHON) tests/run.py --build build-tsan --sanitizer tsan  ## the threaded parts under TSan
fuzz: setup ; @tests/fuzz/run                                                                 ## libFuzzer over every parser, a minute each
storm: build ; @LONGANIM_BUILD=$(B) $(PYTHON) tests/support/storm.py $(STORM)                      ## 2,000 jobs, 100 kills: nothing lost, double, wrong or left (STORM="--jobs 200")
bench: build ; @tests/bench/run                                                               ## measure; docs/speed.md says how to read it
bench-service: build $(B)/tests/bench/fill $(B)/tests/bench/streams ; @LONGANIM_BUILD=$(B) $(PYTHON) tests/bench/service.py $(PARTS)  ## the service beside nginx, Redis and dd (needs wrk and nginx)
format: ; @clang-format -i $(FORMATTED)  ## lay out the sources
docs: $(B)/tools/docs ; @$< config > docs/config.md && $< errors > docs/errors.md                ## write the pages that are made from tables
install-api: $(B)/longanim-api $(B)/longanim-probe $(B)/longanim ; @mkdir -p $(INTO)/bin && $(COPY) $(abspath $^) $(INTO)/bin/  ## the front, into PREFIX (/opt/longanim)
install-worker: $(B)/longanim-worker $(B)/longanim-probe $(B)/longanim $(B)/libmodel_shim.so  ## the worker with libtorch and the shipped model, into PREFIX
	@mkdir -p $(INTO)/bin $(INTO)/.deps/torch/torch/lib $(INTO)/models && $(COPY) $(abspath $^) $(INTO)/bin/
	@$(COPY) $(abspath $(LIBTORCH))/lib/*.so* $(INTO)/.deps/torch/torch/lib/ && $(COPY) $(abspath models)/* $(INTO)/models/
	@for d in $(wildcard .deps/torch/nvidia); do $(COPY) $(abspath $$d) $(INTO)/.deps/torch/; done
clean: ; rm -rf build build-asan build-tsan build-fuzz                                        ## remove what was built

# ---- checks ----
format-check: ; @clang-format --dry-run -Werror $(FORMATTED)
layers: ; @gawk -f tools/check-layers.awk tools/layers.txt $(HEADERS) $(MAINS) $(SERVICE) $(wildcard api/*.c) $(SHIM)
headers: ; @for h in $(HEADERS); do printf '#include "%s"\ntypedef int not_empty;\n' $$h | gcc -std=c11 -D_GNU_SOURCE $(WARN) -Wno-unused-macros -Iservice -I. -Imodel_shim/include -fsyntax-only -x c - || exit 1; done; \
	for h in model train; do for s in c11 c17; do echo "#include \"$$h.h\"" | gcc -std=$$s -Wall -Wextra -Wpedantic -Werror -Imodel_shim/include -fsyntax-only -x c - || exit 1; done; \
	echo "#include \"$$h.h\"" | g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -Imodel_shim/include -fsyntax-only -x c++ - || exit 1; done
exports: $(B)/libmodel_shim.so ; @nm -D --defined-only $< | awk '$$2 ~ /[TWVBDRu]/ {print $$3}' | sort | diff model_shim/exports.txt -
rules: ; @tools/check-rules
docs-check: $(B)/tools/docs ; @for page in config errors; do $< $$page | diff docs/$$page.md - || { echo "docs/$$page.md is old: make docs"; exit 1; }; done

deploy-check: ; @$(PYTHON) tools/check-deploy

# ---- rules ----
$(B)/%.o: %.c | generated ; @mkdir -p $(@D); $(CC) $(CFLAGS) -c $< -o $@
$(B)/model_shim/shim.o: CXXFLAGS += -DLONGANIM_VERSION='"$(VERSION)"'
$(B)/model_shim/nn/group_norm.o: CXXFLAGS += -O3 # vectors for its inner loops
$(B)/%.o: %.cc ; @mkdir -p $(@D); $(CXX) $(CXXFLAGS) -c $< -o $@
$(B)/libservice.a: $(SERVICE:%.c=$(B)/%.o) ; @rm -f $@; ar rcs $@ $^
$(B)/libapi.a: $(API:%.c=$(B)/%.o) ; @rm -f $@; ar rcs $@ $^
$(B)/longanim-api: $(B)/api/main.o $(B)/libapi.a $(B)/libservice.a ; $(CC) $(SAN) $^ -Wl,--as-needed $(LIBS_API) -o $@
$(B)/longanim-probe: $(B)/service/probe/main.o $(B)/libservice.a ; $(CC) $(SAN) $^ -Wl,--as-needed $(LIBS_AV) $(LIBS_BASE) -o $@
$(B)/longanim-worker: $(B)/service/worker/main.o $(B)/libservice.a ; $(CC) $(SAN) $^ -Wl,--as-needed $(LIBS_ALL) -o $@
$(B)/longanim: $(B)/service/cli/main.o $(B)/libservice.a ; $(CC) $(SAN) $^ -Wl,--as-needed $(LIBS_ALL) -o $@
$(B)/tools/docs: $(B)/tools/docs.o $(B)/libservice.a ; $(CC) $(SAN) $^ -Wl,--as-needed $(LIBS_BASE) -o $@
$(B)/libmodel_shim.so: $(SHIM:%.cc=$(B)/%.o) model_shim/exports.map ; $(CXX) -shared $(SAN) -Wl,--version-script=model_shim/exports.map -Wl,-z,defs $(filter %.o,$^) $(LIBS_TORCH) -Wl,-rpath,'$(RPATH_TORCH)' -o $@
$(B)/tests/parity: $(B)/tests/support/parity_main.o $(SHIM:%.cc=$(B)/%.o) ; $(CXX) $(SAN) $^ $(LIBS_TORCH) -Wl,-rpath,'$(abspath $(LIBTORCH))/lib' -o $@
$(B)/tools/paint-fit $(B)/tools/paint-prior $(B)/tools/paint-curves: %: %.o $(B)/libsupport.a $(B)/libservice.a ; $(CC) $(SAN) $^ -Wl,--as-needed $(LIBS_ALL) -o $@
$(B)/libsupport.a: $(SUPPORT:%.c=$(B)/%.o) ; @rm -f $@; ar rcs $@ $^
$(B)/tests/bench/%: $(B)/tests/bench/%.o $(B)/libsupport.a $(B)/libservice.a ; $(CC) $(SAN) $^ -Wl,--as-needed $(LIBS_ALL) -o $@
$(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/libsupport.a $(B)/libapi.a $(B)/libservice.a ; $(CC) $(SAN) $^ -Wl,--as-needed -lmicrohttpd $(LIBS_ALL) -lcmocka -o $@
# Tests of the C++ side see what the library hides, so they link its objects.
$(B)/libshim.a: $(SHIM:%.cc=$(B)/%.o) ; @rm -f $@; ar rcs $@ $^
$(B)/tests/unit/model_shim/%.o: CXXFLAGS += -I.
$(B)/tests/unit/model_shim/%: $(B)/tests/unit/model_shim/%.o $(B)/libshim.a ; $(CXX) $(SAN) $^ $(LIBS_TORCH) -Wl,-rpath,$(abspath $(LIBTORCH))/lib -lcmocka -o $@
$(B)/tests/bench/networks $(B)/tests/bench/memory $(B)/tests/bench/shots $(B)/tests/bench/peaks: %: %.o $(B)/libshim.a ; $(CXX) $(SAN) $^ $(LIBS_TORCH) -Wl,-rpath,$(abspath $(LIBTORCH))/lib -o $@
$(B)/tests/shim/%: $(B)/tests/shim/%.o $(B)/libmodel_shim.so ; $(CC) $(SAN) $< -L$(B) -lmodel_shim -Wl,-rpath,'$$ORIGIN/../..' -Wl,-rpath-link,$(LIBTORCH)/lib -lcmocka -lm -o $@

generated: $(B)/gen/queue_lua.h $(if $(wildcard openapi.yaml),$(B)/gen/openapi_json.h)
$(B)/gen/queue_lua.h: $(LUA) tools/lua-to-header ; @mkdir -p $(@D); tools/lua-to-header $(LUA) > $@.tmp && mv $@.tmp $@
$(B)/gen/openapi_json.h: openapi.yaml tools/openapi-to-header ; @mkdir -p $(@D); $(PYTHON) tools/openapi-to-header openapi.yaml > $@.tmp && mv $@.tmp $@

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.PHONY: bench-service deploy-check install-api install-worker storm docs docs-check help setup build demo test tests check lint parity asan tsan fuzz bench format clean format-check layers headers exports rules generated
.SECONDARY:
