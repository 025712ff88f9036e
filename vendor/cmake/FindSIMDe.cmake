# Finds SIMDe's headers; SIMDe_ROOT names a folder to look in first.
# Defines the target SIMDe::SIMDe and SIMDe_VERSION.
include(FindPackageHandleStandardArgs)

find_path(SIMDe_INCLUDE_DIR simde/x86/avx512.h)
mark_as_advanced(SIMDe_INCLUDE_DIR)

if(SIMDe_INCLUDE_DIR)
  file(STRINGS "${SIMDe_INCLUDE_DIR}/simde/simde-common.h" lines
    REGEX "#define SIMDE_VERSION_(MAJOR|MINOR|MICRO) ")
  string(REGEX REPLACE "[^0-9]+([0-9]+)[^0-9]+([0-9]+)[^0-9]+([0-9]+).*" "\\1.\\2.\\3"
    SIMDe_VERSION "${lines}")
endif()

find_package_handle_standard_args(SIMDe
  REQUIRED_VARS SIMDe_INCLUDE_DIR
  VERSION_VAR SIMDe_VERSION)

if(SIMDe_FOUND AND NOT TARGET SIMDe::SIMDe)
  add_library(SIMDe::SIMDe INTERFACE IMPORTED)
  set_target_properties(SIMDe::SIMDe PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${SIMDe_INCLUDE_DIR}")
endif()
