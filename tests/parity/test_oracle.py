"""S3PRL's numbers: every fixture of the oracle, every hidden state."""

import oracle
import pytest


@pytest.mark.parametrize("name", oracle.fixtures())
def test_fixture(name, oracle_folder, record_property):
    entry = oracle.fixtures()[name]
    if not (oracle_folder / name / "ref.npz").is_file():
        pytest.skip(f"{oracle_folder / name} is absent: not in this set of fixtures")
    num_layers, error = oracle.compare(oracle_folder, name, entry)
    record_property("error", error)
    print(f"{name}: {num_layers} hidden states, error {error:.1e}")
    assert error <= entry.get("absolute", oracle.LIMIT)


def test_every_fixture_is_compared(oracle_folder):
    """A folder that no family claims would be a family that nobody checked."""
    folders = {path.parent.name for path in oracle_folder.glob("*/ref.npz")}
    assert folders - set(oracle.fixtures()) == set()
