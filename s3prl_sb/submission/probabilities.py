"""Diarization in a submission: the probabilities of each recording, in HDF5.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.dataio.rttm import read_rttm, read_uem
from s3prl_sb.dataio.speaker_activity import PROBABILITIES, decide, segments
from s3prl_sb.metrics.diarization import corpus_errors, speaker_last
from s3prl_sb.runs.results import RESULTS
from s3prl_sb.storage.files import FileError, naming, read_json, read_text, write_text
from s3prl_sb.storage.tensor_files import read_metadata, read_safetensors
from s3prl_sb.submission.parts import AGAIN, RATE, Predictions, library

WHAT = "the probabilities of a run"
SHIFT, INSIDE, DATA = "frame_shift", "scoring/predictions", "T_hat"


class Probabilities(Predictions):
    """Probabilities that each speaker is active, [frames, speakers] per recording.

    The leaderboard decides with several thresholds and median filters, and takes the
    best on the test set; results.json has those that validation chose.
    """

    def write(self, run, folder):
        """Writes a file for each recording, and the frame shift in samples.

        Arguments
        ---------
        run, folder
            See :meth:`~s3prl_sb.submission.parts.Predictions.write`.

        Returns
        -------
        list of str

        Raises
        ------
        FileError
            If the run has no probabilities, or its frames are no whole samples.
        """
        h5py = library()
        path = run / PROBABILITIES
        if not path.is_file():
            raise FileError(f"'{path}' is not there: an older version tested. {AGAIN}")
        tensors = read_safetensors(path, WHAT, AGAIN, signed=True)
        shift = read_metadata(path, WHAT)[SHIFT] * RATE
        if abs(shift - round(shift)) > 1e-6:
            raise FileError(
                f"'{path}': a frame has {shift:.3f} samples at 16 kHz, and a "
                "submission needs whole ones."
            )
        place = folder / INSIDE
        place.mkdir(parents=True)
        for name, values in sorted(tensors.items()):
            if "/" in name or name.startswith("."):
                raise FileError(f"'{path}': '{name}' cannot name a file.")
            with h5py.File(place / f"{name}.h5", "w") as file:
                file.create_dataset(DATA, data=values.numpy())
        write_text(folder / SHIFT, f"{round(shift)}\n")
        return sorted(tensors)

    def read(self, folder):
        """Reads the probabilities of all recordings."""
        entries = {}
        for path in sorted((folder / INSIDE).glob("*.h5")):
            with naming(path, "the probabilities of a recording"):
                with library().File(path) as file:
                    entries[path.name.removesuffix(".h5")] = file[DATA][:]
        return entries

    def measured(self, folder, run):
        """Returns the error rate at the threshold and the median of the run.

        Durations in the tables of a run are rounded to milliseconds.
        """
        metrics = read_json(run / RESULTS, "the results of a run", AGAIN, dict)[
            "metrics"
        ]
        chosen = metrics["threshold"], int(metrics["median"])
        shift = int(read_text(folder / SHIFT)) / RATE
        lengths = {
            row["id"]: float(row["duration"]) for row in self.rows(run, ("duration",))
        }
        predicted = {
            name: segments(decide(values, *chosen), shift, lengths[name])
            for name, values in self.read(folder).items()
        }
        true = read_rttm(run / "ref.rttm")
        regions = read_uem(run / "ref.uem")
        errors = corpus_errors(
            {name: speaker_last(predicted[name]) for name in predicted},
            {name: speaker_last(true.get(name, [])) for name in predicted},
            regions,
        )
        return {"der": errors.rate}
