# pitr_ext: the server module, the program `pitr`, and one entry to everything else.
#
#   make                    build both for the PostgreSQL of pg_config   (PG_CONFIG=... chooses another)
#   make install            install them there                           (DESTDIR=... stages)
#   make installcheck       SQL and TAP tests against the installed server
#   make check              packages, build, lint and every test on this machine's PostgreSQL; touches no installation
#   make check-all          the same plus valgrind, the full fault sweep and the other PostgreSQL majors
#   make demo | bench | lint | clean
#
# WERROR=1 turns warnings into errors, PITR_FAULTS=1 builds with fault points, CCACHE= does without ccache. With fault points, or with
# CI=true, there are no line tables, a third of the time: stacks still name functions. Objects live in
# build/<major>[-faults]/, so majors and kinds of build never mix. V=1 shows the commands.

PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))

# These goals begin by installing packages, so they must work before there is a server to build for. Leaving PGXS out also
# keeps its own `check` target away from ours.
RUNNER_GOALS := check check-all demo bench lint packages
NEEDS_PGXS := $(filter-out $(RUNNER_GOALS),$(or $(MAKECMDGOALS),all))

ifneq ($(NEEDS_PGXS),)

ifeq ($(PGXS),)
$(error the server development files of PostgreSQL were not found ($(PG_CONFIG) --pgxs); run test/install-packages base)
endif

EXTENSION := pitr_ext
DATA := $(wildcard sql/*--*.sql)
REGRESS := $(sort $(patsubst sql/%.sql,%,$(filter-out $(DATA),$(wildcard sql/*.sql))))
TAP_TESTS := 1
PROVE_TESTS := $(sort $(wildcard test/tap/[0-9]*.pl))
# The bitcode rules of PGXS compile without our -std, and inlining buys this module nothing.
override with_llvm := no

# `all` must stay the first target, before PGXS adds its own.
all:

include $(PGXS)

PROVE_FLAGS += -I test/tap

MAJOR := $(firstword $(subst ., ,$(MAJORVERSION)))
BUILD := build/$(MAJOR)$(if $(filter 1,$(PITR_FAULTS)),-faults)

# ccache makes repeated builds free; CCACHE= (empty) or CCACHE_DISABLE=1 does without.
CCACHE ?= $(if $(CCACHE_DISABLE),,$(shell command -v ccache 2>/dev/null))
COMPILE := $(strip $(CCACHE) $(CXX))

# -- flags ---------------------------------------------------------------------------------------------------------------
COMMON_FLAGS := $(CXXFLAGS) -std=c++20 -fPIC -fvisibility=hidden -fvisibility-inlines-hidden -Wall -Wextra \
	$(if $(filter 1,$(WERROR)),-Werror) $(if $(filter 1,$(PITR_FAULTS)),-DPITR_FAULTS) \
	$(filter -D%,$(CPPFLAGS)) -Isrc -pthread $(if $(filter 1 true,$(PITR_FAULTS) $(CI)),-g0)
# The core and the program never see a server header: the directory is not on their command line.
CORE_FLAGS := $(COMMON_FLAGS)
TOOL_FLAGS := $(COMMON_FLAGS) -isystem $(includedir)
# Server headers are system headers (15's are noisy in C++20). 15 leaves PGDLLEXPORT empty, so that hidden visibility would
# hide the SQL functions; 16 and later define it themselves.
SERVER_CPPFLAGS := $(patsubst -I%,-isystem %,$(filter-out -I. -I$(srcdir) -I./ -D%,$(CPPFLAGS)))
PG_FLAGS := $(COMMON_FLAGS) $(SERVER_CPPFLAGS) -isystem $(includedir) \
	$(if $(filter 15,$(MAJOR)),'-DPGDLLEXPORT=__attribute__((visibility("default")))')

CORE_LIBS := -lzstd -lxxhash -lpugixml -lcurl -lcrypto
TOOL_LIBS := -L$(libdir) -lpq $(CORE_LIBS) -pthread

# -- what is built -------------------------------------------------------------------------------------------------------
find_sources = $(sort $(wildcard src/$(1)/*.cpp src/$(1)/*/*.cpp src/$(1)/*/*/*.cpp))
objects_of = $(patsubst src/%.cpp,$(BUILD)/%.o,$(call find_sources,$(1)))
CORE_OBJS := $(call objects_of,core)
PG_OBJS := $(call objects_of,pg)
TOOL_OBJS := $(call objects_of,tool)

MODULE := $(BUILD)/pitr_ext.so
TOOL := $(BUILD)/pitr
# A folder that holds nothing yet is not built.
BUILT := $(CORE_OBJS) $(if $(PG_OBJS),$(MODULE)) $(if $(TOOL_OBJS),$(TOOL))

all: $(BUILT)

quietly = $(if $(V),,@echo '  $(1)';)

$(CORE_OBJS): flags = $(CORE_FLAGS)
$(PG_OBJS): flags = $(PG_FLAGS)
$(TOOL_OBJS): flags = $(TOOL_FLAGS)
$(CORE_OBJS) $(PG_OBJS) $(TOOL_OBJS): $(BUILD)/%.o: src/%.cpp $(BUILD)/flags
	@mkdir -p $(@D)
	$(call quietly,CXX $<)$(COMPILE) $(flags) -MMD -MP -c -o $@ $<

# PGXS links with the C compiler, which would leave libstdc++ unrecorded.
$(MODULE): $(CORE_OBJS) $(PG_OBJS) exports.map $(BUILD)/objects
	$(call quietly,LD $@)$(CXX) -shared -o $@ $(CORE_OBJS) $(PG_OBJS) $(LDFLAGS) $(LDFLAGS_SL) -Wl,--version-script=exports.map -L$(libdir) -lpq $(CORE_LIBS)

$(TOOL): $(CORE_OBJS) $(TOOL_OBJS) $(BUILD)/objects
	$(call quietly,LD $@)$(CXX) -pie -o $@ $(CORE_OBJS) $(TOOL_OBJS) $(LDFLAGS) $(LDFLAGS_EX) $(TOOL_LIBS)

# What the judge against pg_waldump compares with; for tests only, not installed.
$(BUILD)/wal_dump: test/support/wal_dump.cpp $(CORE_OBJS)
	$(call quietly,LD $@)$(COMPILE) $(CORE_FLAGS) -o $@ $^ $(CORE_LIBS) -pthread
.PHONY: wal_dump
wal_dump: $(BUILD)/wal_dump

# What retention costs; run by hand.
$(BUILD)/retention_bench: test/support/retention_bench.cpp $(CORE_OBJS)
	$(call quietly,LD $@)$(COMPILE) $(CORE_FLAGS) -o $@ $^ $(CORE_LIBS) -pthread
.PHONY: retention_bench
retention_bench: $(BUILD)/retention_bench

# Written only when they change: a different compiler or flag compiles everything again, a removed source links again.
stamp = @mkdir -p $(@D); printf '%s\n' $(1) | cmp -s - $@ || printf '%s\n' $(1) >$@
$(BUILD)/flags: FORCE
	$(call stamp,"$(subst ",,$(CXX) $(PG_FLAGS) $(TOOL_FLAGS))")
$(BUILD)/objects: FORCE
	$(call stamp,"$(CORE_OBJS) $(PG_OBJS) $(TOOL_OBJS)")
.PHONY: FORCE
FORCE:

-include $(CORE_OBJS:.o=.d) $(PG_OBJS:.o=.d) $(TOOL_OBJS:.o=.d)

# -- install -------------------------------------------------------------------------------------------------------------
install: install-built
.PHONY: install-built
install-built: all
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)' '$(DESTDIR)$(bindir)'
	$(if $(PG_OBJS),$(INSTALL_SHLIB) $(MODULE) '$(DESTDIR)$(pkglibdir)/pitr_ext.so')
	$(if $(TOOL_OBJS),$(INSTALL_PROGRAM) $(TOOL) '$(DESTDIR)$(bindir)/pitr')

uninstall: uninstall-built
.PHONY: uninstall-built
uninstall-built:
	rm -f '$(DESTDIR)$(pkglibdir)/pitr_ext.so' '$(DESTDIR)$(bindir)/pitr'

clean: clean-built
.PHONY: clean-built
clean-built:
	rm -rf build

endif # NEEDS_PGXS

# -- everything else -----------------------------------------------------------------------------------------------------
ifneq ($(filter $(RUNNER_GOALS),$(MAKECMDGOALS)),)
.PHONY: $(RUNNER_GOALS)

packages:
	test/install-packages base check s3 lint

check:
	test/install-packages base check s3 lint
	test/run --pg-config '$(PG_CONFIG)' all

check-all:
	test/install-packages base check s3 lint chroot check-all
	rc=0; test/run --pg-config '$(PG_CONFIG)' all-full || rc=1; test/chroot full || rc=1; exit $$rc

demo:
	test/install-packages base
	demo/run

bench:
	test/install-packages base
	bench/run

lint:
	test/run --pg-config '$(PG_CONFIG)' lint

endif # RUNNER_GOALS
