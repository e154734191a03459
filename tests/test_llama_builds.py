"""Test the choice among the builds of llama.cpp: what they are called, need and are kept under."""

import dataclasses
import sys

import pytest

import llama_builds
from llama_builds import GPU_BUILDS, NATIVE, PORTABLE, PORTABLE_VULKAN, UnknownBuild, gpu_build, portable_build

BUILDS = [NATIVE, PORTABLE, PORTABLE_VULKAN, *GPU_BUILDS.values()]


@pytest.fixture
def bare_machine(monkeypatch, tmp_path):
    """Take away every command, header and kit; return the folder where headers would be."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("VULKAN_SDK", raising=False)
    monkeypatch.setattr(llama_builds, "INCLUDES", (str(tmp_path / "include"),))
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


def test_every_build_is_kept_under_a_key_of_its_own(monkeypatch):
    keys = {build.key() for build in BUILDS}
    assert len(keys) == len(BUILDS)
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_LTO=ON")
    assert not keys & {build.key() for build in BUILDS}


def test_only_a_portable_build_is_the_same_for_all_processors(monkeypatch):
    before = [build.key() for build in (NATIVE, PORTABLE)]
    monkeypatch.setattr(llama_builds, "processor_name", lambda: "flags: none")
    after = [build.key() for build in (NATIVE, PORTABLE)]
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_flags_are_added_to_those_of_the_user(monkeypatch):
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_LTO=ON")
    assert NATIVE.cmake_arguments() == "-DGGML_LTO=ON"
    assert GPU_BUILDS["vulkan"].cmake_arguments() == "-DGGML_LTO=ON -DGGML_VULKAN=ON"


def test_no_name_means_the_native_build_and_names_are_read_in_any_case():
    assert gpu_build("") is NATIVE
    assert gpu_build("Vulkan") is GPU_BUILDS["vulkan"]


def test_an_unknown_name_is_answered_with_those_that_exist():
    with pytest.raises(UnknownBuild, match="GPU=voodoo is not known; it can be vulkan, cuda, metal or rocm"):
        gpu_build("voodoo")


def test_a_gpu_of_another_system_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(UnknownBuild, match="GPU=metal does not exist on this system"):
        gpu_build("metal")


@pytest.mark.parametrize(("name", "kit"), [("cuda", "CUDA toolkit"), ("rocm", "ROCm")])
def test_a_missing_toolkit_is_named_with_its_address(bare_machine, name, kit):
    build = dataclasses.replace(GPU_BUILDS[name], places=())
    assert kit in build.missing_toolkit()
    assert "https://" in build.missing_toolkit()


def test_a_toolkit_off_the_path_is_found(bare_machine):
    (bare_machine / "nvcc").touch()
    build = dataclasses.replace(GPU_BUILDS["cuda"], places=(str(bare_machine / "nvcc"),))
    assert build.missing_toolkit() == ""


def test_vulkan_needs_packages_on_linux_and_its_kit_elsewhere(bare_machine, monkeypatch):
    vulkan = GPU_BUILDS["vulkan"]
    assert vulkan.missing_tools() == ["glslc", "libvulkan-dev", "spirv-headers"]
    assert vulkan.missing_toolkit() == ""
    monkeypatch.setattr(sys, "platform", "win32")
    assert vulkan.missing_tools() == []
    assert "Vulkan SDK" in vulkan.missing_toolkit()
    monkeypatch.setenv("VULKAN_SDK", "C:/VulkanSDK")
    assert vulkan.missing_toolkit() == ""


def test_the_portable_build_has_vulkan_where_its_tools_are_or_can_be_installed(bare_machine):
    assert portable_build(may_install=False) is PORTABLE
    assert portable_build(may_install=True) is PORTABLE_VULKAN
    for header in ("vulkan/vulkan.hpp", "spirv/unified1/spirv.hpp"):
        path = bare_machine / "include" / header
        path.parent.mkdir(parents=True)
        path.touch()
    glslc = bare_machine / "bin" / "glslc"
    glslc.parent.mkdir()
    glslc.touch(0o755)
    assert portable_build(may_install=False) is PORTABLE_VULKAN


def test_old_headers_of_vulkan_get_what_they_lack(bare_machine, monkeypatch):
    monkeypatch.setenv("CXXFLAGS", "-O1")
    header = bare_machine / "include" / "vulkan" / "vulkan_core.h"
    header.parent.mkdir(parents=True)
    header.write_text("#define VK_EXT_layer_settings 1\n")
    assert "CXXFLAGS" not in GPU_BUILDS["vulkan"].variables()
    header.write_text("#define VK_VERSION_1_3 1\n")
    assert GPU_BUILDS["vulkan"].variables()["CXXFLAGS"] == f'-O1 -include "{llama_builds.LAYER_SETTINGS}"'
    assert llama_builds.LAYER_SETTINGS.is_file()
    assert NATIVE.variables().keys() == {"CMAKE_ARGS"}
