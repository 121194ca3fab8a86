# SPDX-License-Identifier: MIT
# ringlet: `make help` lists the targets.
#
# SAN=address,undefined or SAN=thread builds the same things with a sanitizer
# in a directory of their own; so does COUNTERS=no without the device's counters,
# to see what these cost.

CC ?= cc
SAN ?=
COUNTERS ?= yes
comma := ,
B := build$(if $(SAN),/$(firstword $(subst $(comma), ,$(SAN))))$(if $(filter no,$(COUNTERS)),/no-counters)

WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes -Wundef \
	-Wpointer-arith -Wwrite-strings -Werror=implicit -Werror=incompatible-pointer-types
ifdef WERROR
WARNINGS += -Werror
endif
# With a sanitizer it is compiling that takes the time, not running.
CFLAGS ?= $(if $(SAN),-O1 -g1,-O2 -g)
override CFLAGS += -std=gnu17 -pthread -Iinclude -D_GNU_SOURCE -fno-common -fno-strict-aliasing $(WARNINGS)
ifeq ($(COUNTERS),no)
override CFLAGS += -DNO_COUNTERS
endif
override LDLIBS += -luring -lcap-ng
ifneq ($(SAN),)
override CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
override LDFLAGS += -fsanitize=$(SAN)
endif

# V=1 shows the commands.
Q := $(if $(V),,@)
say := @$(if $(V),:,echo ' ')

PREFIX ?= /usr/local
VERSION := 0.1

LIB := $(patsubst %.c,$(B)/%.o,$(filter-out vmm/main.c,$(wildcard virtio/*.c devices/*.c vmm/*.c)))

# Guests that need no Linux.  Nothing of the host's is in them, nor a sanitizer.
GUESTS := hello irq netecho hostile
GUEST_CFLAGS := -std=gnu17 -O2 -Iinclude -ffreestanding -fno-common -fno-strict-aliasing $(WARNINGS) \
	-mno-red-zone -mgeneral-regs-only -fno-pic -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables
GUEST_ELFS := $(GUESTS:%=$(B)/guest/%.elf)

TESTLIB := $(B)/tests/driver.o $(B)/tests/capture.o
TESTS := $(patsubst %.c,$(B)/%,$(filter-out tests/driver.c tests/capture.c,$(wildcard tests/*.c)))
HELPERS := $(patsubst tests/lab/%.c,build/%,$(wildcard tests/lab/*.c))
BENCHES := $(patsubst %.c,$(B)/%,$(wildcard bench/*.c))

all: $(B)/ringlet $(HELPERS) ## build build/ringlet (default)

$(B)/ringlet: $(B)/vmm/main.o $(B)/libringlet.a
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/libringlet.a: $(LIB)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CFLAGS) -DRINGLET_VERSION='"$(VERSION)"' -MMD -MP -c -o $@ $<

$(B)/guest/%.o: guest/%.c Makefile
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/guest/%.o: guest/%.S Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -c -o $@ $<

$(GUEST_ELFS): %.elf: %.o $(B)/guest/entry.o $(B)/guest/lib.o $(B)/guest/net.o guest/guest.lds
	$(say) LD $@
	$(Q)$(LD) -T guest/guest.lds -nostdlib -static -s --no-warn-rwx-segments -o $@ $(filter %.o,$^)
.SECONDARY: $(GUESTS:%=$(B)/guest/%.o)

# What .incbin reads.
$(B)/vmm/guests.o: $(GUEST_ELFS)
$(B)/vmm/guests.o: override CFLAGS += -DGUEST_DIR='"$(B)/guest/"'

# The first program of a guest that runs a command, without a C library; it is
# part of ringlet.
RUN_CFLAGS := -std=gnu17 -D_GNU_SOURCE -Os -ffreestanding -fno-pic -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fcf-protection=none -mgeneral-regs-only $(WARNINGS)
$(B)/guest/run: $(wildcard guest/run*.c) guest/run.h guest/sys.h include/session.h Makefile
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(RUN_CFLAGS) $(if $(WERROR),-Werror) -nostdlib -static -no-pie -Wl,-s \
		-Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,norelro -o $@ $(filter %.c,$^)
$(B)/vmm/command_files.o: $(B)/guest/run
$(B)/vmm/command_files.o: override CFLAGS += -DGUEST_RUN='"$(B)/guest/run"'

# Small programs of the scripts and of the lab's.
$(HELPERS): build/%: tests/lab/%.c Makefile
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) -std=gnu17 -O2 -D_GNU_SOURCE $(WARNINGS) -static -o $@ $<

# One program per tests/*.c; new ones are found by themselves.
$(B)/tests/%: $(B)/tests/%.o $(TESTLIB) $(B)/libringlet.a
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# Those of the benches need only the driver of them.
$(B)/bench/%: $(B)/bench/%.o $(B)/tests/driver.o $(B)/libringlet.a
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
.SECONDARY: $(TESTS:=.o) $(TESTLIB) $(BENCHES:=.o)

test-programs: $(TESTS)
bench-programs: $(BENCHES)

deps: ## install what building and the demo need (Debian, apt)
	tests/deps

demo: deps ## boot a stock Debian guest on the network, ping and blast it
	$(MAKE) all
	tests/demo

# As many compilers as processors, unless -j was given.
PARALLEL = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

check: ## all tests, real guests included; ends in "N passed, N failed, N skipped"
	tests/deps check
	$(MAKE) $(PARALLEL) WERROR=1 all bench-programs $(B)/tests/acpi # acpi-iasl.t has it dump tables
	$(MAKE) $(PARALLEL) WERROR=1 SAN=address,undefined all test-programs
	$(MAKE) $(PARALLEL) WERROR=1 SAN=thread test-programs
	tests/run

quick: ## the tests that need no guest
	$(MAKE) WERROR=1 all test-programs
	tests/run --quick

FUZZ_SECONDS ?= 60
FUZZ := build/fuzzer-no-link
fuzz: ## look for what breaks gdb's protocol or the control socket's, a minute each (clang)
	tests/deps fuzz
	$(MAKE) $(PARALLEL) CC=clang SAN=fuzzer-no-link,address,undefined $(FUZZ)/libringlet.a $(FUZZ)/tests/driver.o
	for t in gdb ctl; do \
		clang $(CFLAGS) -DLIBFUZZER -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $(FUZZ)/$$t \
			tests/$$t-corpus.c $(FUZZ)/tests/driver.o $(FUZZ)/libringlet.a $(LDLIBS) && \
		mkdir -p $(FUZZ)/found/$$t && \
		$(FUZZ)/$$t -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 $(FUZZ)/found/$$t tests/corpus/$$t || exit; \
	done

bench: ## the short set of benches: the device, 2009's table, the peers, starting
	tests/deps bench
	$(MAKE) all bench-programs
	$(MAKE) COUNTERS=no bench-programs
	bench/run

install: all ## install the program and its manual page below PREFIX
	install -Dm755 $(B)/ringlet $(DESTDIR)$(PREFIX)/bin/ringlet
	install -Dm644 vmm/ringlet.1 $(DESTDIR)$(PREFIX)/share/man/man1/ringlet.1

clean: ## remove what was built (downloads stay: make distclean)
	rm -rf build/ringlet build/*.a build/guest/*.[od] build/guest/*.elf build/guest/run build/virtio build/devices build/vmm build/tests build/address build/thread build/no-counters build/fuzzer-no-link build/bench/backend*

distclean: ## remove everything that was built or downloaded
	rm -rf build

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' Makefile

.PHONY: all test-programs bench-programs deps demo check quick fuzz bench install clean distclean help
-include $(LIB:.o=.d) $(GUEST_ELFS:.elf=.d) $(B)/guest/lib.d $(B)/guest/net.d $(B)/vmm/main.d $(patsubst %.c,$(B)/%.d,$(wildcard tests/*.c bench/*.c))
