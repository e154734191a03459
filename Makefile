# Set-up, run and checks. Everything is done by bootstrap.py, so each target also works without make.
# GPU=vulkan, cuda, metal or rocm builds llama.cpp for that kind of GPU: make run GPU=vulkan
ifeq ($(OS),Windows_NT)
PYTHON ?= python
else
PYTHON ?= python3
endif

.PHONY: run test setup package lock fidelity

run:
	@$(PYTHON) bootstrap.py run

test:
	@$(PYTHON) bootstrap.py test $(ARGS)

setup:
	@$(PYTHON) bootstrap.py setup

# The installed program, its packages and their tests, into dist/.
package:
	@$(PYTHON) bootstrap.py package

# Resolve the pins again after a change of pyproject.toml (needs uv). CUDA libraries of torch come with torch where it needs them.
lock:
	uv pip compile -q --universal --python-version 3.11 --no-annotate --no-header --extra train --extra dev pyproject.toml -o requirements/dev.lock
	sed -i -E '/^(cuda-|nvidia-|triton)/d' requirements/dev.lock
	uv pip compile -q --universal --python-version 3.11 --no-annotate --no-header -c requirements/dev.lock pyproject.toml -o requirements/app.lock
	$(PYTHON) bootstrap.py python -m release.training_lock
	uv pip compile -q --universal --python-version 3.11 --no-annotate --no-header -c requirements/dev.lock --extra package pyproject.toml -o requirements/package.lock

# Compare stock llama.cpp and Phidelity with the reference; writes the table of docs/fidelity.md.
fidelity:
	@$(PYTHON) bootstrap.py python -m benchmarks.fidelity
