# Everything starts here: `make demo` shows Proffer at work, `make test` proves it.
#
# RocksDB costs some 25 CPU-minutes to compile, so it is built once into the cache and linked from there by every
# build. `eval "$(make -s env)"` gives a shell the same settings, for calling cargo by hand.

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/proffer
ROCKSDB_VERSION := $(shell sed -n '/^name = "librocksdb-sys"/{n;s/version = "\(.*\)"/\1/p;}' Cargo.lock)
BENCH ?= all
FUZZ ?= messages master agent image text records cni store
SECONDS_EACH ?= 60

export CARGO_TARGET_DIR ?= $(CACHE)/target
export ROCKSDB_LIB_DIR := $(CACHE)/rocksdb-$(ROCKSDB_VERSION)
export ROCKSDB_STATIC := 1
# libclang comes without the compiler's own headers on some systems; gcc has them too.
export BINDGEN_EXTRA_CLANG_ARGS := -I$(shell gcc -print-file-name=include 2>/dev/null)
export PROFFER_CACHE := $(CACHE)

.PHONY: help demo test crash fuzz verify fix bench env build release deps deps-test deps-bench clean

help: ## lists the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: release ## builds, starts a cluster, runs a real job on it, stops cleanly
	@scripts/demo.sh "$(CARGO_TARGET_DIR)/release/proffer"

test: deps-test $(ROCKSDB_LIB_DIR)/librocksdb.a verify ## everything that proves the project
	@scripts/test.sh

# The tests proper take one step of each kind.
crash: deps-test build ## kills a whole agent before each of some 1,200 steps, damages each of its files in each way, cuts the power 40 times; some three quarters of an hour
	PROFFER_EVERY_STEP=1 cargo test --locked -p proffer-privileged-tests --test whole -- --nocapture before_any_step damaged_file
	PROFFER_POWER_LOSSES=40 cargo test --locked -p proffer-cluster-tests --test machines -- --nocapture power

# Needs rustup, for a nightly compiler; what it finds is written to tests/fuzz/found and tried by every `make test`.
fuzz: ## searches for inputs that break a decoder or a core, FUZZ=messages|master|agent|image|text|records|cni|store, SECONDS_EACH=60
	@scripts/fuzz.sh "$(CACHE)/fuzz" "$(FUZZ)" "$(SECONDS_EACH)"

# `make test` runs the first ten thousand.
nightly: deps ## runs as many of the simulator's seeds as are asked for, SEEDS=1..100001
	cargo build --locked -p proffer-sim --bin proffer-sim
	"$(CARGO_TARGET_DIR)/debug/proffer-sim" run --seeds "$(or $(SEEDS),1..100001)"

verify: deps $(ROCKSDB_LIB_DIR)/librocksdb.a ## checks format and lints; writes nothing
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

fix: ## formats
	cargo fmt --all

# The allocator is measured by itself, and backfill under simulated time: without root, without the binary.
bench: $(if $(filter allocator backfill,$(BENCH)),,deps-bench release) ## prints figures beside a reference, BENCH=allocator|containers|launches|networks|cluster|footprint|failover|updates|throughput|batch|service|backfill|dead-agent|all
	cargo build --release --locked -p proffer-bench
	"$(CARGO_TARGET_DIR)/release/proffer-bench" "$(BENCH)" --proffer "$(CARGO_TARGET_DIR)/release/proffer"

release: deps $(ROCKSDB_LIB_DIR)/librocksdb.a ## the binary as it is shipped
	cargo build --release --locked -p proffer

build: deps $(ROCKSDB_LIB_DIR)/librocksdb.a ## the binary for development
	cargo build --locked -p proffer

env: ## prints the settings every build uses, for `eval`
	@echo 'export CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)" ROCKSDB_LIB_DIR="$(ROCKSDB_LIB_DIR)" ROCKSDB_STATIC=1'
	@echo 'export BINDGEN_EXTRA_CLANG_ARGS="$(BINDGEN_EXTRA_CLANG_ARGS)" PROFFER_CACHE="$(PROFFER_CACHE)"'

deps:
	@scripts/deps.sh build
deps-test:
	@scripts/deps.sh build test
	@scripts/guest-kernel.sh "$(CACHE)/guest-kernel"
deps-bench:
	@scripts/deps.sh build bench
	@scripts/hyperqueue.sh "$(CACHE)/hyperqueue"

$(ROCKSDB_LIB_DIR)/librocksdb.a:
	@scripts/rocksdb.sh "$(ROCKSDB_VERSION)" "$(ROCKSDB_LIB_DIR)"

clean: ## removes what was built, but keeps the RocksDB archive
	rm -rf "$(CARGO_TARGET_DIR)"
