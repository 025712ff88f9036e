# Everything a person does, one command each. Needs Python >= 3.10, a C++17 compiler and make;
# cmake, ninja and the rest come into .venv from PyPI.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q
# With -v pip shows what it compiles. The build folder is the environment's own: two environments of
# one checkout may build at once, and neither finds the other's paths in its cache.
BUILD  := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip --disable-pip-version-check install -v \
	--no-build-isolation -C build-dir=$(VENV)/build --editable .
SAYS := Compiling the C++ core, which takes some minutes; [n/m] counts its steps ...
SOURCES := CMakeLists.txt pyproject.toml $(shell find csrc -name '*.cpp' -o -name '*.h')

.PHONY: help venv build demo test lint format bench calibration soak sanitize fuzz peers clients browser ray docs pages schemas wheel clean

help:
	@echo "make venv      set up .venv with all development tools"
	@echo "make build     build and install into .venv"
	@echo "make demo      run the whole pipeline on a real model, in build/models"
	@echo "make test      build and run all tests"
	@echo "make lint      ruff, mypy, import-linter, clang-format, clang-tidy"
	@echo "make format    rewrite the sources so that make lint passes"
	@echo "make bench     measure beside llama.cpp and ik_llama.cpp (see benchmarks/peers.py)"
	@echo "make calibration  measure files that are calibrated, for hours (see benchmarks/calibration.py)"
	@echo "make peers     tests beside llama.cpp and ctransformers, which it builds and installs"
	@echo "make clients   tests of the server with the client libraries of its APIs, which it installs"
	@echo "make browser   the server's page in Chromium, which must be there: apt-get install chromium"
	@echo "make ray       tests on a Ray cluster of this machine, which it installs into build/ray"
	@echo "make docs      the documentation as a site in build/site"
	@echo "make schemas   documents of 400 public JSON Schemas, by a real model (half an hour)"
	@echo "make pages     run the examples of the documentation on a real model, in temporary folders"
	@echo "make sanitize  tests under AddressSanitizer, UBSan and ThreadSanitizer"
	@echo "make soak      the server under 10,000 requests of 64 clients: SOAK_ARGS=\"--hours 2\""
	@echo "make fuzz      damaged files, 20 seconds of each kind: FUZZ_ARGS=\"--target gguf --seconds 600\""
	@echo "make wheel     build a wheel into dist/"
	@echo "make clean     remove build, dist, wheelhouse and .venv"

$(VENV)/.created:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 10) and 'ggmlkit needs Python >= 3.10; set PYTHON=')"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	touch $@

$(VENV)/.dev: $(VENV)/.created pyproject.toml
	$(PIP) install --group dev
	touch $@

$(VENV)/.built: $(VENV)/.dev $(SOURCES)
	@echo "$(SAYS)"
	$(BUILD)
	touch $@

venv: $(VENV)/.dev

build: $(VENV)/.built

# The demo needs the build tools alone, not the test suite's torch.
$(VENV)/.demo: $(VENV)/.created $(SOURCES)
	@echo "Installing the build tools from PyPI ..."
	test -e $(VENV)/.built || $(PIP) install --group build
	@echo "$(SAYS)"
	$(BUILD)
	touch $@

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

test: build
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(PYTEST_ARGS)

CMAKE := $(BIN)/cmake -Dpybind11_DIR="$$($(BIN)/python -m pybind11 --cmakedir)" \
	-DPython_EXECUTABLE="$(CURDIR)/$(BIN)/python" -DCMAKE_MAKE_PROGRAM="$(CURDIR)/$(BIN)/ninja"

# NEON's sources are left to their own compiler: clang-tidy here has no ARM headers.
lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run --Werror $$(find csrc benchmarks tests/native -name '*.cpp' -o -name '*.h')
	$(CMAKE) --preset lint >/dev/null
	$(BIN)/clang-tidy --quiet -p build/lint $$(find csrc -name '*.cpp' -not -path '*/neon*')

# The sanitized module stands before the installed one on the path; python itself is not
# instrumented, so the runtime is preloaded and its leak check (which would report python) is off.
SANITIZED = LD_PRELOAD="$$($(CXX) -print-file-name=$(1)) $$($(CXX) -print-file-name=libstdc++.so.6)" \
	GGMLKIT_CORE=build/$(2) PYTHONMALLOC=malloc \
	ASAN_OPTIONS=detect_leaks=0:halt_on_error=1:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	TSAN_OPTIONS=halt_on_error=1:die_after_fork=0:allocator_may_return_null=1:suppressions=tests/tsan.supp \
	$(BIN)/python -m pytest -p no:cacheprovider -q

# Tests that run programs of their own, which the preloaded runtime would only disturb; one of
# mlock, which AddressSanitizer makes do nothing; one of a real model, which takes it too long; those
# of grammars, which are read in a process of little memory, too little for a sanitizer.
UNSANITIZED = $(foreach t,native isa processors instruction_counts,--ignore=tests/kernels/test_$(t).py)
UNSANITIZED += --ignore=tests/engine/test_constraint.py
UNSANITIZED += --deselect=tests/engine/test_llama.py::test_refused_lock_is_an_error
UNSANITIZED += --deselect=tests/engine/test_logits.py::test_rounding_activations_costs_less_than_a_thousandth_of_a_nat

# SETS="avx2": only these instruction sets are built, which takes a third of the time.
sanitize: build
	$(CMAKE) --preset asan-ubsan -DGGMLKIT_SETS="$(SETS)" >/dev/null
	$(BIN)/cmake --build --preset asan-ubsan
	$(call SANITIZED,libasan.so,asan-ubsan) tests/kernels tests/io tests/engine $(UNSANITIZED)
	$(CMAKE) --preset tsan -DGGMLKIT_SETS="$(SETS)" >/dev/null
	$(BIN)/cmake --build --preset tsan
	$(call SANITIZED,libtsan.so,tsan) tests/kernels/test_matmul.py tests/engine $(UNSANITIZED)

$(VENV)/.fuzz: $(VENV)/.dev
	$(PIP) install --group fuzz
	touch $@

# libFuzzer comes with clang. What was fuzzed is under build/fuzz/corpus, what failed in build/fuzz.
CLANG = $(shell command -v clang++ || ls /usr/bin/clang++-[0-9]* 2>/dev/null | sort -V | tail -1)

fuzz: build $(VENV)/.fuzz
ifeq ($(CLANG),)
	@echo "there is no clang++: the compiled kernels aren't fuzzed, the readers are"
else
	$(CMAKE) --preset fuzz -DCMAKE_CXX_COMPILER="$(CLANG)" >/dev/null
	$(BIN)/cmake --build --preset fuzz
endif
	$(BIN)/python tests/fuzz/run.py $(FUZZ_ARGS)

# Strict: a broken link fails. tests/docs/test_site.py builds it likewise.
# With --quiet mkdocs would not count the warnings that --strict fails on.
docs: build
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "the site is in build/site"

# As a reader would paste them. The tests do the same on a tiny model.
pages: build
	$(BIN)/python examples/demo.py --model-only
	$(BIN)/python docs/pages.py build/models/SmolLM2-135M-Instruct.Q4_1.gguf $(PAGES)

# Each document that max_tokens did not cut must be valid: SCHEMAS="--seeds 3".
schemas: build
	$(BIN)/python examples/demo.py --model-only
	$(BIN)/python benchmarks/json_schemas.py build/models/SmolLM2-135M-Instruct.Q4_1.gguf $(SCHEMAS)

format: build
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(find csrc benchmarks tests/native -name '*.cpp' -o -name '*.h')

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) install --group bench
	touch $@

bench: build $(VENV)/.bench
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

# KL divergences of files of each type and method. CALIBRATION="--only 'calibration q4_0'" measures
# some, CALIBRATION=--resume those that are not measured yet.
calibration: build $(VENV)/.bench
	$(BIN)/python examples/demo.py --model-only
	$(BIN)/python benchmarks/run.py --only calibration $(CALIBRATION)

# 10,000 requests of 64 clients; SOAK_ARGS="--hours 2 --record benchmarks/soak.json".
soak: build
	$(BIN)/python benchmarks/soak.py $(SOAK_ARGS)

$(VENV)/.peers: $(VENV)/.dev
	$(PIP) install --group peers
	touch $@

# Builds llama.cpp from its source release into build/peers (some minutes, the first time).
peers: build $(VENV)/.peers
	$(BIN)/python benchmarks/peer_tests.py $(PEERS_ARGS)

# Client libraries have environments of their own in build/clients, as they ask for versions of their
# own. CLIENTS_ARGS="--record", or "-k curl".
clients: build
	$(BIN)/python examples/demo.py --model-only
	$(BIN)/python benchmarks/client_tests.py $(CLIENTS_ARGS)

# Playwright has an environment of its own, and drives the system's Chromium; it downloads none.
CHROMIUM ?= chromium
BROWSER  := build/browser

$(BROWSER)/.created: pyproject.toml
	$(PYTHON) -m venv $(BROWSER)
	$(BROWSER)/bin/python -m pip --disable-pip-version-check -q install --upgrade "pip>=25.1"
	$(BROWSER)/bin/python -m pip --disable-pip-version-check -q install --group browser
	touch $@

# PICTURES=1: take the pictures of docs/serve.md anew.
browser: build $(BROWSER)/.created
	@command -v "$(CHROMIUM)" >/dev/null || \
		{ echo "make browser needs Chromium: apt-get install chromium, or set CHROMIUM="; exit 1; }
	$(BIN)/python examples/demo.py --model-only
	CHROMIUM="$$(command -v "$(CHROMIUM)")" GGMLKIT_PYTHON="$(CURDIR)/$(BIN)/python" \
		$(BROWSER)/bin/python $(if $(PICTURES),tests/browser/pictures.py,-m pytest \
		--confcutdir tests/browser -o pythonpath=tests/browser -p no:cacheprovider \
		tests/browser $(PYTEST_ARGS))

# Ray takes 345 MB, so it has an environment of its own, which sees the packages of .venv.
RAY := build/ray

$(RAY)/.created: pyproject.toml $(VENV)/.built
	$(PYTHON) -m venv $(RAY)
	$(RAY)/bin/python -m pip --disable-pip-version-check -q install --upgrade "pip>=25.1"
	$(RAY)/bin/python -m pip --disable-pip-version-check -q install --group ray
	$(BIN)/python -c "import sysconfig; print(f'import site; site.addsitedir({sysconfig.get_path(\"purelib\")!r})')" \
		> "$$($(RAY)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/checkout.pth"
	touch $@

# --confcutdir: it has fixtures of its own. RAY_ARGS="-k serve".
ray: build $(RAY)/.created
	$(RAY)/bin/python -m pytest --confcutdir tests/cluster -p no:cacheprovider -W ignore tests/cluster $(RAY_ARGS)

wheel: $(VENV)/.dev
	$(PIP) wheel --no-deps --wheel-dir dist .

clean:
	rm -rf build dist wheelhouse $(VENV)
