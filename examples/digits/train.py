#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a support vector machine on the digits that scikit-learn brings along, prints how often it
is right on digits that it has not seen, and draws where it errs."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn import datasets, metrics, model_selection, svm


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    parser.add_argument("--gamma", type=float, default=0.001)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    digits = datasets.load_digits()
    train_x, test_x, train_y, test_y = model_selection.train_test_split(
        digits.data, digits.target, test_size=0.3, random_state=args.seed
    )
    model = svm.SVC(gamma=args.gamma).fit(train_x, train_y)
    guess = model.predict(test_x)

    print(f"trained on {len(train_x)} digits, tested on {len(test_x)}")
    print(f"accuracy {metrics.accuracy_score(test_y, guess):.4f}")

    args.out.mkdir(parents=True, exist_ok=True)
    metrics.ConfusionMatrixDisplay.from_predictions(test_y, guess)
    plt.title("Digits: true and predicted")
    # Without a version and a date in it, the same picture is the same file.
    plt.savefig(args.out / "confusion-matrix.png", dpi=120, metadata={"Software": None})
    print(f"wrote {args.out / 'confusion-matrix.png'}")


main()
