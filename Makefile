# Two commands do everything on a fresh Debian or Ubuntu: `make demo` and `make test`.
# Whatever they need and do not find, they install, and say so.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO_TARGET_DIR ?= target
export PATH := $(HOME)/.cargo/bin:$(PATH)
export CARGO_TARGET_DIR
LAB := $(CARGO_TARGET_DIR)/debug/lab
# One set of features everywhere, so that nothing is built twice; boards build without `host`.
FEATURES := --features host
ALL := --workspace --exclude graft-fuzz $(FEATURES)
# The board's program and the developers' program, which shows it.
BOTH := -p graft -p graft-lab --bins $(FEATURES)
# A test that cannot run fails, unless the name of what it lacks is given here. What was left out is listed at the end.
TESTING = GRAFT_ALLOW_SKIP="$${GRAFT_ALLOW_SKIP-$$(scripts/allow-skip.sh)}"
GRAFT_SKIPPED ?= $(abspath $(CARGO_TARGET_DIR))/skipped.txt
export GRAFT_SKIPPED

.PHONY: help demo demo-offload page test test-web test-full test-bare test-vm test-vm-short test-vm-arm64 test-aarch64 lint bench fuzz backbone deb deb-check sbom cross-aarch64 deps-build deps-bench deps-test forget-skipped clean

help: ## what can be made
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: deps-build ## the main job, start to end, with embedded defaults: no camera, no broker of yours
	cargo build $(BOTH)
	$(LAB) demo

demo-offload: deps-build ## fine-tuning from offer to promoted pair: board, host and CPU engine on one machine
	scripts/install.sh trainer
	cargo build $(BOTH)
	$(LAB) demo-offload --python /usr/bin/python3

page: ## the page anew from its sources, crates/page/web, into crates/page/dist (which is committed)
	scripts/install.sh web
	cd crates/page/web && npm run build

test: forget-skipped deps-test lint ## every check that fits into half an hour on two cores
	$(TESTING) OMP_NUM_THREADS=1 /usr/bin/python3 -m pytest -q -rs -p no:cacheprovider trainer/tests
	$(TESTING) cargo test $(ALL) --lib --bins --test graft
	$(TESTING) scripts/web-test.sh
	@scripts/skipped.sh

test-web: deps-build ## all tests of the page: the whole story in a browser (GRAFT_SHOTS=1: its pictures into docs/img)
	scripts/install.sh web
	cargo build -p graft
	$(TESTING) scripts/web-test.sh full

test-full: test ## the slow ones too: more crashes, all pictures, fuzzing, the virtual machine (needs root for that)
	GRAFT_TEST_FULL=1 $(TESTING) /usr/bin/python3 -m pytest -q -rs -p no:cacheprovider trainer/tests
	GRAFT_TEST_FULL=1 $(TESTING) cargo test $(ALL) --lib --test graft
	$(TESTING) scripts/web-test.sh full
	@scripts/skipped.sh
	$(MAKE) fuzz
	$(MAKE) test-bare
	$(MAKE) test-vm

test-bare: ## what a build needs, installed on a minimal Debian 12 and 13 in throw-away folders (needs root; some minutes)
	@command -v mmdebstrap >/dev/null || scripts/install.sh vm
	scripts/bare.sh bookworm trixie

test-vm: ## the package in a virtual machine: real systemd, camera driver and broker (needs root; PARTS=soak SOAK=minutes: a long run)
	scripts/install.sh build deb vm
	DEB_PROFILE=dev scripts/deb.sh
	tests/vm/run.sh $(PARTS)

# What a board is for, and that it survives a reboot.
MAIN_SCENARIOS := camera driver|package installs|listed by|same picture|sandbox|rights$$|start and stop|has to bring|after a reboot

test-vm-short: ## the scenarios of test-vm that say what a board is for: two boots, some minutes
	ONLY='$(MAIN_SCENARIOS)' $(MAKE) test-vm PARTS='live reboot'

test-vm-arm64: ## the arm64 package in an emulated board (needs root; an hour)
	scripts/install.sh build deb vm aarch64 vm-arm64
	DEB_PROFILE=dev DEB_TARGET=aarch64-unknown-linux-gnu scripts/deb.sh
	cross/emulated.py tests/vm/image.sh arm64 target/vm/arm64
	ARCH=arm64 ONLY='$(MAIN_SCENARIOS)' tests/vm/run.sh live reboot

test-aarch64: ## learning core, wire, store, backbone kernels and the whole job, built for ARM and run under emulation
	scripts/install.sh aarch64 mosquitto
	$(TESTING) CROSS_PROFILE=dev cross/build.sh test
	@scripts/skipped.sh

lint: deps-build ## format, clippy
	@scripts/install.sh lint
	@scripts/lint.sh $(ALL)

bench: deps-bench ## the learning core beside its peers on this machine (an hour; BENCH=--quick: minutes), criterion benches
	cargo run --release -p graft-lab -- bench head $(BENCH)
	cargo run --release -p graft-lab -- bench round
	cargo run --release -p graft-lab -- bench contention
	cargo run --release -p graft-lab -- bench memory
	cargo bench -p graft-lab

fuzz: ## each fuzz target for a minute (needs cargo-fuzz; installs it)
	scripts/install.sh cargo-fuzz
	for target in $$(cd fuzz && cargo fuzz list); do (cd fuzz && cargo fuzz run -s none "$$target" -- -max_total_time=60); done

backbone: ## trains models/tiny.onnx anew by its recipe (CPU PyTorch, some ten CPU-minutes)
	scripts/install.sh torch
	/usr/bin/python3 models/tiny/train.py --out models/tiny.onnx --card models/tiny.toml

deb: ## a Debian package of this machine's kind (DEB_PROFILE=dev: a quick one), in target/debian
	scripts/install.sh build deb
	scripts/deb.sh

deb-check: deb ## the package installed, upgraded, refused and purged in a throw-away Debian (needs root)
	scripts/deb-check.sh

sbom: ## what is inside, as CycloneDX: target/package/graft.cdx.json
	scripts/install.sh sbom
	mkdir -p target/package
	cargo cyclonedx --format json --spec-version 1.5 --features gpio --override-filename graft.cdx
	mv graft.cdx.json target/package/ && rm -f fuzz/graft.cdx.json crates/*/graft.cdx.json

cross-aarch64: ## for 64-bit ARM boards, without containers; tested under emulation (an hour)
	scripts/install.sh aarch64 mosquitto
	cross/build.sh build && cross/build.sh facts && cross/build.sh loops && cross/build.sh test

deps-build: ## what a build needs
	@scripts/install.sh build mosquitto

deps-bench: deps-build ## what the comparison with scikit-learn needs
	@scripts/install.sh scikit-learn

deps-test: deps-build ## what the tests need
	@scripts/install.sh mosquitto onnxruntime trainer moto openssl strace systemd web

# The list of tests that were left out begins anew.
forget-skipped:
	@mkdir -p $(dir $(GRAFT_SKIPPED)) && : > $(GRAFT_SKIPPED)

clean: ## removes what was built
	cargo clean
