# The build. `make help` lists the targets; `make V=asan test` uses a variant.

V    ?= debug
PKGS := libuv libcurl sqlite3 libcjson libcmark libsodium libssl libcrypto zlib inih
LIBS := -lhttp_parser

CC.fuzz    = clang
CC         = $(or $(CC.$V),gcc)
HARDEN     = -fstack-protector-strong -fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero
OPT.debug  = -O0 -g3
OPT.release= -O2 -g -D_FORTIFY_SOURCE=2 $(HARDEN) -fPIE
LD.release = -pie -Wl,-z,relro,-z,now
OPT.asan   = -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
OPT.tsan   = -O1 -g -fno-omit-frame-pointer -fsanitize=thread
OPT.cov    = -O0 -g --coverage
OPT.clang  = -O1 -g
CC.clang   = clang
OPT.fuzz   = -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
WARN       = -Wall -Wextra -Werror -Wshadow -Wundef -Wvla -Wcast-qual -Wwrite-strings -Wformat=2 \
             -Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough -Wpointer-arith \
             -Wconversion -Wno-sign-conversion
CPPFLAGS  := -std=c11 -D_GNU_SOURCE -Isrc -Itests/unit $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
GLIB      := $(shell pkg-config --cflags glib-2.0 2>/dev/null)
LDLIBS     = -pthread $(shell pkg-config --libs $(PKGS) glib-2.0 2>/dev/null) $(LIBS) -lm

OUT  = build/$V
MAIN = src/cli/main.c
SRC  = $(filter-out $(MAIN),$(wildcard src/*/*.c))
UNIT = $(wildcard tests/unit/*.c)
FUZZ = $(wildcard tests/fuzz/fuzz_*.c)
PROOF = $(wildcard tests/proof/*.c) tests/unit/test.c $(wildcard src/core/*.c src/store/*.c src/queue/*.c)
OBJ  = $(SRC:%.c=$(OUT)/%.o) $(OUT)/embed.o

all: $(OUT)/viche                                  ## build the server

DATA   = data
BUILD = $(MAKE) --no-print-directory -j2
NODE_TEST = node --test --test-concurrency=1 --test-timeout=900000

run: ; @tools/deps run                              ## build, fill with demo data, serve http://127.0.0.1:8080
	@$(MAKE) --no-print-directory -j2 V=release build/release/viche
	build/release/viche seed --demo --data $(DATA)
	build/release/viche serve --data $(DATA) $(ARGS)

test: ; @tools/deps test                            ## lint, unit, integration, browser and crash tests
	@$(MAKE) --no-print-directory -j2 V=asan build/asan/viche
	@node tests/run.mjs 'release=$(BUILD) V=release build/release/viche build/release/proof build/release/queue_agent' \
	    'asan=$(BUILD) V=asan build/asan/unit' 'integration=VICHE=build/asan/viche $(NODE_TEST) tests/integration/*.test.mjs' \
	    'unit@asan=build/asan/unit {1..4}/4' 'proof@release=build/release/proof' 'lint=$(MAKE) --no-print-directory V=asan lint' \
	    'browser@release=VICHE=build/release/viche $(NODE_TEST) tests/browser/*.test.mjs' \
	    'conformance@release=VICHE=build/release/viche $(NODE_TEST) tests/conformance/*.test.mjs' \
	    'crash@release#=VICHE=build/release/viche $(NODE_TEST) tests/chaos/*.test.mjs' \
	    'kill!=VICHE=build/release/viche $(NODE_TEST) tests/chaos/kill9.alone.mjs'

test-all: test                                     ## the same, then TSan, clang, fuzzers (60 s each), 20 kills, a soak
	@$(MAKE) --no-print-directory -j2 V=tsan build/tsan/viche build/tsan/unit
	@$(MAKE) --no-print-directory -j2 V=asan build/asan/proof
	@node tests/run.mjs 'clang!=$(MAKE) -j2 V=clang build/clang/viche build/clang/unit' 'unit-tsan=build/tsan/unit {1..4}/4' \
	    'proof-asan=build/asan/proof {1..2}/2' 'proof-all=PROOF=all build/release/proof {1..8}/8' \
	    'integration-tsan=VICHE=build/tsan/viche $(NODE_TEST) tests/integration/*.test.mjs' \
	    'conformance-asan=VICHE=build/asan/viche $(NODE_TEST) tests/conformance/*.test.mjs' \
	    'presence-model=ROUNDS=30 VICHE=build/asan/viche $(NODE_TEST) tests/integration/presence_model.test.mjs' \
	    'browser-every=EVERY=1 VICHE=build/asan/viche $(NODE_TEST) tests/browser/*.test.mjs' \
	    'crash-20!=ROUNDS=20 JOBS=100000 VICHE=build/release/viche $(NODE_TEST) tests/chaos/*.test.mjs tests/chaos/kill9.alone.mjs' \
	    'soak!=VICHE=build/asan/viche node tests/chaos/soak.mjs' \
	    'tidy=$(MAKE) --no-print-directory tidy' \
	    'fuzz!=$(MAKE) --no-print-directory fuzz T=60'

unit: $(OUT)/unit                                  ## unit tests only; T=name runs those that match
	$(OUT)/unit $T

conformance: ; @tools/deps test                     ## stock Pusher clients and every case of docs/conformance.md
	@$(MAKE) --no-print-directory -j2 V=asan build/asan/viche
	VICHE=build/asan/viche $(NODE_TEST) --test-concurrency=2 tests/conformance/*.test.mjs

bench: ; @tools/deps bench                          ## measure; rows and conditions as in docs/performance.md
	@$(MAKE) --no-print-directory V=release build/release/viche
	node bench/run.mjs $(ARGS)

lint: $(OBJ)                                       ## format, layers, symbol names, types
	clang-format --dry-run -Werror $$(find src tests bench -name '*.[ch]')
	tools/layers src
	tools/symbols $(SRC:%.c=$(OUT)/%.o)
	npx --no-install tsc --noEmit -p web

tidy:                                              ## clang-tidy; minutes
	@clang-tidy --version >/dev/null
	printf '%s\n' $(SRC) $(MAIN) | xargs -P 2 -I {} clang-tidy --quiet {} -- $(CPPFLAGS) $(GLIB) 2>/dev/null | { ! grep -E ': (error|warning):' -A 5; }

format:                                            ## reformat every C file
	clang-format -i $$(find src tests bench -name '*.[ch]')

failpoints: $(OUT)/proof                           ## write docs/failpoints.md anew
	PROOF_TABLE=docs/failpoints.md $(OUT)/proof passes_the_points

fuzz:                                              ## run each fuzzer for T seconds (30)
	$(MAKE) V=fuzz $(FUZZ:tests/fuzz/%.c=build/fuzz/%)
	tools/run-fuzz build/fuzz $(or $T,30)

cover:                                             ## line coverage of the unit tests, by file
	$(MAKE) V=cov build/cov/unit && build/cov/unit
	tools/coverage build/cov

deps:                                              ## install what run and test need (apt-get, npm)
	tools/deps run && tools/deps test

clean:                                             ## remove everything built
	rm -rf build

help:                                              ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile

$(OUT)/viche: $(OUT)/$(MAIN:.c=.o) $(OBJ)
	$(CC) $(OPT.$V) $(LD.$V) $^ $(LDLIBS) -o $@

$(OUT)/unit: $(UNIT:%.c=$(OUT)/%.o) $(OBJ)
	$(CC) $(OPT.$V) $^ $(LDLIBS) $(shell pkg-config --libs check) -o $@

$(OUT)/proof: $(PROOF:%.c=$(OUT)/%.o)
	$(CC) $(OPT.$V) $(LD.$V) $^ $(LDLIBS) $(shell pkg-config --libs check) -o $@

AGENT = tests/chaos/queue_agent.c $(wildcard src/core/*.c src/store/*.c src/queue/*.c)
$(OUT)/queue_agent: $(AGENT:%.c=$(OUT)/%.o)
	$(CC) $(OPT.$V) $(LD.$V) $^ $(LDLIBS) -o $@

$(OUT)/bench/bench_queue: $(OUT)/bench/bench_queue.o $(OUT)/bench/load.o $(OBJ)
	$(CC) $(OPT.$V) $(LD.$V) $^ $(LDLIBS) -o $@

$(OUT)/fuzz_%: $(OUT)/tests/fuzz/fuzz_%.o $(OBJ)
	$(CC) $(OPT.$V) -fsanitize=fuzzer $^ $(LDLIBS) -o $@

$(OUT)/embed.o: build/embed.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(WARN) -Wno-overlength-strings $(OPT.$V) -c $< -o $@

build/embed.c: tools/embed build/web/.built $(wildcard web/templates/* web/locales/* web/assets/* migrations/*)
	tools/embed $@

build/web/.built: $(wildcard web/src/* web/styles/* web/assets/*) web/build.mjs package.json
	node web/build.mjs
	@touch $@

$(OUT)/%.o: %.c Makefile | build/layers
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(WARN) $(OPT.$V) -MMD -MP -c $< -o $@

$(OUT)/src/queue/queue_zone.o: CPPFLAGS += $(GLIB)

build/layers: src/LAYERS $(wildcard src/*/*.[ch])
	@mkdir -p build
	tools/layers src && touch $@

-include $(shell find build -name '*.d' 2>/dev/null)
.PHONY: all run test test-all unit conformance bench lint tidy format fuzz cover failpoints deps clean help
