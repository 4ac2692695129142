# The build. `make help` lists the targets; `make V=asan test` uses a variant.

V    ?= debug
PKGS := libuv sqlite3 libcjson libcmark libsodium libcrypto zlib
LIBS := -lhttp_parser

CC.fuzz    = clang
CC         = $(or $(CC.$V),gcc)
HARDEN     = -fstack-protector-strong -fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero
OPT.debug  = -O0 -g3
OPT.release= -O2 -g -D_FORTIFY_SOURCE=2 $(HARDEN) -fPIE
LD.release = -pie -Wl,-z,relro,-z,now
OPT.asan   = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
OPT.tsan   = -O1 -g -fno-omit-frame-pointer -fsanitize=thread
OPT.cov    = -O0 -g --coverage
OPT.clang  = -O1 -g
CC.clang   = clang
OPT.fuzz   = -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
WARN       = -Wall -Wextra -Werror -Wshadow -Wundef -Wvla -Wcast-qual -Wwrite-strings -Wformat=2 \
             -Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough -Wpointer-arith \
             -Wconversion -Wno-sign-conversion
CPPFLAGS   = -std=c11 -D_GNU_SOURCE -Isrc -Itests/unit $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDLIBS     = -pthread $(shell pkg-config --libs $(PKGS) 2>/dev/null) $(LIBS) -lm

OUT  = build/$V
MAIN = src/app/main.c
SRC  = $(filter-out $(MAIN),$(wildcard src/*/*.c))
UNIT = $(wildcard tests/unit/*.c)
FUZZ = $(wildcard tests/fuzz/fuzz_*.c)
OBJ  = $(SRC:%.c=$(OUT)/%.o) $(OUT)/embed.o

all: $(OUT)/viche                                  ## build the server

$(OUT)/viche: $(OUT)/$(MAIN:.c=.o) $(OBJ)
	$(CC) $(OPT.$V) $(LD.$V) $^ $(LDLIBS) -o $@

$(OUT)/unit: $(UNIT:%.c=$(OUT)/%.o) $(OBJ)
	$(CC) $(OPT.$V) $^ $(LDLIBS) $(shell pkg-config --libs check) -o $@

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

build/layers: src/LAYERS $(wildcard src/*/*.[ch])
	@mkdir -p build
	tools/layers src && touch $@

-include $(shell find build -name '*.d' 2>/dev/null)
.PHONY: all test lint format fuzz cover clean help
