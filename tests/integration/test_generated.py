import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_committed_stubs_are_those_of_the_proto(tmp_path):
    subprocess.run(
        [ROOT / "scripts" / "generate-protocol", tmp_path],
        check=True,
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
    )
    made = sorted((tmp_path / "deployx_edge/agent/v1").iterdir())
    assert [path.name for path in made] == ["agent_pb2.py", "agent_pb2.pyi", "agent_pb2_grpc.py"]
    for path in made:
        assert path.read_text() == (ROOT / "deployx_edge/agent/v1" / path.name).read_text()
