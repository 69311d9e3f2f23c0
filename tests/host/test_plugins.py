"""Plugins are found through entry points, and a broken one is data about itself alone."""

import re
import signal
import sys
import time
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest
from fake_distributions import brings, install

import zoo
from zoo.host.places import place, place_in
from zoo.host.plugins import plugins, reset

FIRST_PARTY = {"gravity", "gaussian", "networks", "solvers"}


def record(name):
    (only,) = [r for r in plugins() if r.name == name]
    return only


def names(name, kind="kernels"):
    return [c.name for c in record(name).components.get(kind, ())]


def test_a_plugin_that_changes_the_working_folder_does_not_change_the_users(
    site, tmp_path, monkeypatch
):
    install(site, "zoo-moves", source=f"import os\nos.chdir({str(site)!r})")
    monkeypatch.chdir(tmp_path)
    assert record("moves").error is None
    assert Path.cwd() == tmp_path


def test_first_party_plugins_enter_through_the_entry_points_of_the_distribution():
    own = {r.name: r for r in plugins() if r.distribution == "fieldzoo"}
    assert set(own) >= FIRST_PARTY
    for r in own.values():
        assert r.error is None
        assert r.version == version("fieldzoo")
        assert r.cause == ""
    assert own["gravity"].origin == f"fieldzoo {version('fieldzoo')}"


def test_a_plugin_brings_every_kind_from_generators_and_from_lists(site):
    target = '"zoo_all.parts:Part"'
    install(
        site,
        "zoo-all",
        "2.5",
        source=brings("zoo_field_kernels", "k")
        + f"""
        from pathlib import Path
        @hookimpl
        def zoo_prior_samplers(): return [Component("p", {target}, "one line")]
        @hookimpl
        def zoo_networks(): return (Component("n", {target}),)
        @hookimpl
        def zoo_solvers(): return iter([Component("s-1", {target}), Component("s.2", {target})])
        @hookimpl
        def zoo_formats(): yield Component("f", {target})
        @hookimpl
        def zoo_posteriors(): yield Component("m", {target})
        @hookimpl
        def zoo_models(): yield Path(__file__).parent / "models" / "k-digits"
        """.replace("\n        ", "\n"),
    )
    r = record("all")
    assert (r.distribution, r.version, r.value, r.error) == ("zoo-all", "2.5", "zoo_all", None)
    found = {kind: [c.name for c in brought] for kind, brought in r.components.items()}
    assert found == {
        "kernels": ["k"],
        "priors": ["p"],
        "networks": ["n"],
        "solvers": ["s-1", "s.2"],
        "formats": ["f"],
        "posteriors": ["m"],
    }
    assert r.components["priors"][0].summary == "one line"
    assert [folder.name for folder in r.models] == ["k-digits"]


def test_records_do_not_depend_on_the_order_of_the_path(site, monkeypatch):
    seen = []
    for first, second in (("north", "south"), ("south", "north")):
        for folder in (second, first):
            monkeypatch.syspath_prepend(str(site / folder))
        for folder in () if seen else (first, second):
            install(site / folder, f"zoo-{folder}", source=brings("zoo_field_kernels", "x"))
            install(site / folder, f"zoo-both-{folder}", entry="both")
        reset()
        seen.append([(r.name, r.distribution, r.cause) for r in plugins()])
    assert seen[0] == seen[1] == sorted(seen[0])
    assert [name for name, *_ in seen[0]].count("both") == 2
    assert {"north", "south"} <= {name for name, *_ in seen[0]}


HALF_WAY = (
    brings("zoo_solvers", "fine")
    + """
@hookimpl
def zoo_field_kernels():
    yield Component("first", "m:K")
    raise RuntimeError("half way")
"""
)

BROKEN = {
    "ImportError at import": (
        "import no_such_module",
        r"ModuleNotFoundError: .*no_such_module' \(zoo_bad/__init__.py:2\)$",
    ),
    "exception at import": ("1 / 0", "ZeroDivisionError: division by zero"),
    "syntax error": ("def (:", "SyntaxError"),
    "SystemExit at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "KeyboardInterrupt at import": (
        "raise KeyboardInterrupt",
        "RuntimeError: it raised KeyboardInterrupt without a Ctrl-C",
    ),
    "KeyboardInterrupt in a hook": (
        "@hookimpl\ndef zoo_models(): raise KeyboardInterrupt",
        "it raised KeyboardInterrupt",
    ),
    "error whose text is KeyboardInterrupt": (
        "class Odd(Exception):\n    def __str__(self): raise KeyboardInterrupt\nraise Odd",
        r"^Odd \(zoo_bad/__init__.py:\d\)$",
    ),
    "other BaseException": (
        "class Odd(BaseException): pass\nraise Odd",
        r"^Odd \(zoo_bad/__init__.py:\d\)$",
    ),
    "misspelt hook": (
        "@hookimpl\ndef zoo_field_kernel(): return ()",
        "no hook 'zoo_field_kernel'; did you mean 'zoo_field_kernels'",
    ),
    "unknown argument": ("@hookimpl\ndef zoo_solvers(config): return ()", "config.*hookspec"),
    "forgotten mark": ("def zoo_solvers(): return ()", "zoo_solvers is not a function marked"),
    "hooks from __getattr__": (
        "def __getattr__(name):\n    if name == 'zoo_solvers': return lambda: ()\n"
        "    raise AttributeError(name)",
        "zoo_solvers is not a function marked",
    ),
    "generator that raises half way": (
        HALF_WAY,
        r"^zoo_field_kernels failed: RuntimeError: half way \(zoo_bad/__init__.py:10\)$",
    ),
    "hook that raises": (
        "@hookimpl\ndef zoo_models(): raise KeyError('x')",
        r"^zoo_models failed: KeyError: 'x' \(zoo_bad/__init__.py:3\)$",
    ),
    "SystemExit in a hook": (
        "@hookimpl\ndef zoo_models(): raise SystemExit",
        "^zoo_models failed: SystemExit \\(zoo_bad",
    ),
    "no iterable": ("@hookimpl\ndef zoo_solvers(): return Component('a', 'm:A')", "an iterable"),
    "nothing": (
        "@hookimpl\ndef zoo_solvers(): [Component('a', 'm:A')]",
        "^zoo_solvers returned nothing; is a `return` or `yield` forgotten",
    ),
    "text": ("@hookimpl\ndef zoo_solvers(): return 'heun'", "returned 'heun'; expected an iter"),
    "no component": ("@hookimpl\ndef zoo_solvers(): return ['heun']", "gave 'heun'; expected"),
    "bad name": (brings("zoo_solvers", "Heun 2"), "the name 'Heun 2'"),
    "qualified name": (brings("zoo_solvers", "a:b"), "the name 'a:b'"),
    "name that is no text": ("@hookimpl\ndef zoo_solvers(): yield Component(3, 'm:A')", "name 3"),
    "target without attribute": (brings("zoo_solvers", "a", "m.a"), "the target 'm.a'"),
    "target that is a class": ("@hookimpl\ndef zoo_solvers(): yield Component('a', int)", "target"),
    "summary that is no text": (
        "@hookimpl\ndef zoo_solvers(): yield Component('a', 'm:A', None)",
        "summary None",
    ),
    "formula that is no text": (
        "@hookimpl\ndef zoo_solvers(): yield Component('a', 'm:A', formula=3)",
        "formula 3",
    ),
    "one name twice": (
        "@hookimpl\ndef zoo_solvers(): return [Component('a', 'm:A'), Component('a', 'm:B')]",
        "gave 'a' twice",
    ),
    "model folder as text": ("@hookimpl\ndef zoo_models(): yield '/x'", "'/x'; expected a folder"),
}


@pytest.mark.parametrize(("source", "cause"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_plugin_is_recorded_and_the_others_stay(site, source, cause):
    install(site, "zoo-bad", "0.3", source=source)
    install(site, "zoo-good", source=brings("zoo_field_kernels", "fine"))
    bad = record("bad")
    assert bad.error is not None
    assert (bad.distribution, bad.version) == ("zoo-bad", "0.3")
    assert re.search(cause, bad.cause), bad.cause
    assert "\n" not in bad.cause
    assert not any(bad.components.values())
    assert bad.models == ()
    assert names("good") == ["fine"]
    assert {r.name for r in plugins() if r.error is None} >= FIRST_PARTY


def test_an_attribute_that_does_not_exist_breaks_the_entry_point(site):
    install(site, "zoo-bad", entry_points="[zoo]\nbad = zoo_bad:nothing\n")
    assert "AttributeError" in record("bad").cause


@pytest.mark.parametrize("name", ["a:b", "Big", "two words", "-x"])
def test_a_plugin_name_that_could_not_be_written_in_a_qualified_name_is_refused(site, name):
    install(site, "zoo-bad", entry_points=f"[zoo]\n{name} = zoo_bad\n")
    assert repr(name) in record(name).cause


def test_ctrl_c_while_a_plugin_is_imported_is_not_the_plugins_fault(site):
    press = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nwhile True: pass"
    install(site, "zoo-slow", source=press)
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite behind `nohup` ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            plugins()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_optional_hook_of_a_later_version_is_no_error(site):
    install(site, "zoo-new", source="@hookimpl(optionalhook=True)\ndef zoo_of_2030(): pass")
    assert record("new").error is None


@pytest.mark.parametrize("same_package", [False, True])
def test_of_two_distributions_that_claim_one_name_neither_wins(site, same_package):
    for distribution, number in (("zoo-one", "1.1"), ("zoo-two", "2.2")):
        install(
            site,
            distribution,
            number,
            entry="both",
            package="zoo_shared" if same_package else None,
            source=brings("zoo_field_kernels", "mine"),
        )
    clash = [r for r in plugins() if r.name == "both"]
    assert [(r.distribution, r.version) for r in clash] == [("zoo-one", "1.1"), ("zoo-two", "2.2")]
    for r in clash:
        assert isinstance(r.error, zoo.PluginError)
        assert "zoo-one 1.1 and zoo-two 2.2" in r.cause
        assert not r.components
    assert {r.name for r in plugins() if r.error is None} >= FIRST_PARTY


def test_two_entry_points_of_one_distribution_may_share_a_package(site):
    install(
        site,
        "zoo-pair",
        source=brings("zoo_field_kernels", "k"),
        entry_points="[zoo]\nleft = zoo_pair\nright = zoo_pair\n",
    )
    assert names("left") == names("right") == ["k"]


def test_an_entry_point_may_be_an_object_with_hooks(site):
    source = "class Plugin:\n    @staticmethod\n    @hookimpl\n    def zoo_solvers():\n"
    source += "        yield Component('walk', 'm:Walk')\nplugin = Plugin()\n"
    install(site, "zoo-object", source=source, entry_points="[zoo]\nobject=zoo_object:plugin\n")
    assert names("object", "solvers") == ["walk"]


def test_a_malformed_entry_points_file_of_another_package_hides_nobody(site):
    install(site, "unrelated", entry_points="[console_scripts]\nthis line is no entry\n")
    install(site, "zoo-good", source=brings("zoo_field_kernels", "fine"))
    with pytest.raises(Exception, match="value"):
        entry_points(group="zoo")  # the standard library gives up on all of them
    assert names("good") == ["fine"]
    assert {r.name for r in plugins()} >= FIRST_PARTY
    assert record("gravity").error is None


def test_a_distribution_without_readable_metadata_still_loads(site):
    install(site, "zoo-good", source=brings("zoo_field_kernels", "fine"))
    (site / "zoo_good-1.0.dist-info" / "METADATA").unlink()
    assert names("good") == ["fine"]
    assert record("good").origin == "? ?"


def test_zoo_plugins_limits_which_are_loaded(site, monkeypatch):
    package = install(site, "zoo-good", source=brings("zoo_field_kernels", "fine"))
    monkeypatch.setenv("ZOO_PLUGINS", " gravity, gaussian,")
    assert [r.name for r in plugins()] == ["gaussian", "gravity"]
    assert package not in sys.modules
    monkeypatch.setenv("ZOO_PLUGINS", "")
    assert plugins() == ()
    monkeypatch.delenv("ZOO_PLUGINS")
    assert names("good") == ["fine"]


def test_a_name_in_zoo_plugins_that_nobody_brings_is_shown_with_a_suggestion(monkeypatch):
    monkeypatch.setenv("ZOO_PLUGINS", "gravty,gaussian")
    assert "did you mean 'gravity'?" in record("gravty").cause
    assert "gaussian" in names("gaussian")


def test_a_limit_also_ends_a_clash_of_names_outside_it(site, monkeypatch):
    for distribution in ("zoo-one", "zoo-two"):
        install(site, distribution, entry="both")
    monkeypatch.setenv("ZOO_PLUGINS", "gravity")
    assert all(r.error is None for r in plugins())


UNENDING = {
    "asleep": ("import time\ntime.sleep(1000)", "takes more than 1 s to load"),
    "busy": (
        """
        @hookimpl
        def zoo_solvers():
            while True:
                try:
                    while True: pass
                except Exception: pass
        """,
        "takes more than 1 s to load; ZOO_PLUGIN_SECONDS allows more",
    ),
    "endless": (
        """
        @hookimpl
        def zoo_solvers():
            n = 0
            while True:
                n += 1
                yield Component(f"s{n}", "zoo_solvers.runge_kutta:Euler")
        """,
        "zoo_solvers gave more than 10000",
    ),
    "mute": (
        """
        class Mute(Exception):
            def __str__(self): raise self
        raise Mute
        """,
        "Mute",
    ),
    "mumbling": (
        """
        class Mumbling(Exception):
            def __str__(self):
                while True: pass
        raise Mumbling
        """,
        "Mumbling",
    ),
    "loud": ("raise ValueError('a\\x1b[31m' * 10**7)", r"ValueError: a\x1b[31ma\x1b[31m"),
    "odd": (
        """
        class Odd:
            def __repr__(self): raise SystemExit
        @hookimpl
        def zoo_solvers(): yield Odd()
        """,
        "SystemExit",
    ),
}


@pytest.mark.parametrize("name", UNENDING)
def test_what_never_ends_or_cannot_be_printed_stops_nobody(site, monkeypatch, name):
    source, cause = UNENDING[name]
    install(site, f"zoo-{name}", source=source)
    monkeypatch.setenv("ZOO_PLUGIN_SECONDS", "1")
    started = time.monotonic()
    (record,) = [record for record in plugins() if record.error is not None]
    assert time.monotonic() - started < 10
    assert record.name == name
    assert cause in record.cause
    assert len(record.cause) < 5100
    assert record.cause.isprintable()
    assert "heun" in zoo.components("solvers")


def test_a_place_that_no_file_can_have_is_none():
    with pytest.raises(ZeroDivisionError) as told:
        exec(compile("1 / 0", "x" * 300, "exec"))
    assert "test_plugins.py" in place_in(told.value)
    assert place("", 1) == place("\0", 1) == ""
