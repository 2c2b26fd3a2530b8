"""Contenders in turns: what is measured of each, and who is left out when one fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from normonnx.core.verdicts import Verdict
from normonnx.runtime import workers
from normonnx.timing.contenders import Contender, Effort, Race, hindrance
from tests import fake_runtimes

QUICK = Effort(seconds=0.0, rounds=6, sessions=3, warm=1)
TEXT = """
<ir_version: 8, opset_import: ["": 17]>
net (float[N, 4] x) => (float[N, 4] y) {{ {body} }}
"""
FEEDS = {"x": np.ones((2, 4), np.float32)}


def _saved(folder: Path, name: str, body: str = "y = Neg(x)") -> Path:
    path = folder / f"{name}.onnx"
    onnx.save(onnx.parser.parse_model(TEXT.format(body=body)), path)
    return path


def _race(contenders: list[Contender]) -> tuple[Race, int]:
    """After a race: what is known of each, and how often the base ran again."""
    with Race(contenders, QUICK) as race:
        race.give(FEEDS)
        for one in contenders:
            race.tried(one)
        again = race.run()
    return race, len(again)


@pytest.mark.parametrize("backend", ["ort:cpu", "openvino"])
def test_each_is_measured_as_often_as_the_others(tmp_path: Path, backend: str) -> None:
    """A round is a place in every list; the base ran again in each, for A/A."""
    pytest.importorskip("onnxruntime" if backend.startswith("ort") else "openvino")
    contenders = [Contender(name, _saved(tmp_path, name), backend) for name in ("a", "b")]
    told: list[tuple[int, int]] = []
    with Race(contenders, QUICK) as race:
        race.give(FEEDS)
        assert [race.tried(one) for one in contenders] == ["", ""]
        again = race.run(lambda done, total: told.append((done, total)))
    for found in race.measured.values():
        assert found.ran
        assert len(found.sessions) == 3
        assert len(found.runs) == len(again) >= 3
        assert all(one.wall > 0 and one.cpu > 0 for one in (*found.runs, *found.sessions))
        assert found.memory is not None
        assert 0 < found.memory < 200_000_000
        assert found.settings
    assert told == [(done, 5) for done in range(1, 6)]


def test_memory_is_that_of_the_model(tmp_path: Path) -> None:
    """A weight of 16 MiB shows; the runtime itself does not count."""
    pytest.importorskip("onnxruntime")
    weight = np.ones((4, 1 << 20), np.float32)
    model = onnx.parser.parse_model(TEXT.format(body="y = MatMul(x, w)").replace("4] y", "M] y"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    big = tmp_path / "big.onnx"
    onnx.save(model, big)
    contenders = [Contender("small", _saved(tmp_path, "small"), "ort:cpu")]
    race, _ = _race([*contenders, Contender("big", big, "ort:cpu")])
    small, large = (race.measured[name].memory or 0 for name in ("small", "big"))
    assert small < 10_000_000
    assert weight.nbytes < large < 8 * weight.nbytes


def test_who_can_not_run_is_left_out_and_says_why(tmp_path: Path) -> None:
    """Missing, unknown and untimeable backends, and a model that does not load."""
    pytest.importorskip("onnxruntime")
    good = _saved(tmp_path, "good")
    illegal = _saved(tmp_path, "illegal", "y = Frob(x)")
    contenders = [
        Contender("gone", good, "ort:NoSuchExecutionProvider"),
        Contender("unknown", good, "orc:cpu"),
        Contender("truth", good, "oracle"),
        Contender("illegal", illegal, "ort:cpu"),
        Contender("good", good, "ort:cpu"),
    ]
    race, again = _race(contenders)
    said = {name: (found.verdict, found.reason) for name, found in race.measured.items()}
    assert said["gone"][0] is said["unknown"][0] is said["truth"][0] is Verdict.UNAVAILABLE
    assert "no NoSuchExecutionProvider" in said["gone"][1]
    assert "did you mean" in said["unknown"][1]
    assert "can't be timed" in said["truth"][1]
    assert said["illegal"][0] is Verdict.INVALID
    assert said["good"] == (Verdict.PASS, "")
    assert again == len(race.measured["good"].runs)


def test_who_crashes_in_a_later_session_goes_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies, the one that was at work is blamed, and the turn is run again without it."""
    fake = fake_runtimes.FakeOrt(tmp_path)
    counter = tmp_path / "count"
    fake.says(
        available=(fake_runtimes.CPU,),
        used=(fake_runtimes.CPU,),
        nodes=(("n", "Neg", fake_runtimes.CPU),),
        on_load=(
            f"seen = Path({str(counter)!r}); n = len(seen.read_text()) if seen.exists() else 0; "
            "bad = 'bad' in str(path); seen.write_text('x' * (n + bad)); "
            "bad and n >= 2 and os.kill(os.getpid(), signal.SIGSEGV)"
        ),
    )
    fake_runtimes.put_first(tmp_path, monkeypatch)
    names = ("first", "bad", "last")
    race, again = _race([Contender(name, _saved(tmp_path, name), "ort:cpu") for name in names])
    assert race.measured["bad"].verdict is Verdict.UNAVAILABLE
    assert "SIGSEGV" in race.measured["bad"].reason
    assert race.measured["bad"].runs == []
    for name in ("first", "last"):
        assert race.measured[name].ran
        assert len(race.measured[name].sessions) == 3
        assert len(race.measured[name].runs) == again


def test_where_the_base_crashes_the_next_one_is_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A/A then counts from there on."""
    fake = fake_runtimes.FakeOrt(tmp_path)
    fake.says(
        available=(fake_runtimes.CPU,),
        used=(fake_runtimes.CPU,),
        nodes=(),
        on_run="'bad' in self.path and os.kill(os.getpid(), signal.SIGKILL)",
        after="InferenceSession.path = ''",
        on_load="self.path = str(path)",
    )
    fake_runtimes.put_first(tmp_path, monkeypatch)
    race, again = _race([Contender(n, _saved(tmp_path, n), "ort:cpu") for n in ("bad", "good")])
    assert "SIGKILL" in race.measured["bad"].reason
    assert again == len(race.measured["good"].runs) > 0


def test_a_worker_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says so."""
    fake = fake_runtimes.FakeOrt(tmp_path)
    fake.says(available=(fake_runtimes.CPU,), used=(fake_runtimes.CPU,), on_load="time.sleep(60)")
    fake_runtimes.put_first(tmp_path, monkeypatch)
    effort = Effort(seconds=0.0, sessions=1, limits=workers.Limits(3.0))
    one = Contender("slow", _saved(tmp_path, "slow"), "ort:cpu")
    with Race([one], effort) as race:
        race.give(FEEDS)
        assert "did not finish within 3 s" in race.tried(one)


def test_what_can_be_timed() -> None:
    """Runtimes, not the truth, nor torch."""
    assert hindrance("ort:cuda,use_tf32=1") == hindrance("openvino:GPU") == ""
    assert "can't be timed" in hindrance("torch:models.mlp:build")
