# What a developer runs. `make test` is all of it in its quick form; `make campaign NAME=...` the long forms.
.PHONY: test lint bench campaign fuzz cross check-unit check-tree

test:
	tools/setup-tests
	cargo test --workspace

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --no-default-features --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --workspace --no-deps --document-private-items

# The device build's dependencies: how many, one TLS stack, no OpenSSL.
check-tree:
	tools/check-tree

# The unit: well-formed, and hard.
check-unit:
	tools/check-unit

# The small binary for a box: make cross TARGET=aarch64|armv7
TARGET ?= aarch64
cross:
	tools/cross $(TARGET)

bench:
	tools/bench

# The long form of a promise; without a NAME it lists them: make campaign NAME=power-cut [TRIALS=n] [SEED=n]
campaign:
	tools/campaign "$(NAME)" "$(TRIALS)" "$(SEED)"

# Every fuzz target for so many seconds: make fuzz [SECONDS=60]
fuzz:
	tools/fuzz $(SECONDS)
