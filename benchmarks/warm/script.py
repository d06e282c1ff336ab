"""What many training scripts are: seconds of imports and 50 ms of work; it knows nothing of mlq."""

import argparse
import hashlib
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

parser = argparse.ArgumentParser()
parser.add_argument("--c", type=float, required=True)
parser.add_argument("--out", type=Path, required=True)
options = parser.parse_args()

rng = np.random.default_rng(7)
frame = pd.DataFrame(rng.normal(size=(800, 8))).add_prefix("x")
target = (frame.x0 + frame.x1 * frame.x2 + rng.normal(size=len(frame)) > 0).astype(int)
train, test, y_train, y_test = train_test_split(frame, target, random_state=1)
model = make_pipeline(StandardScaler(), LogisticRegression(C=options.c))
scores = model.fit(train, y_train).predict_proba(test)[:, 1]
assert matplotlib.get_backend()
assert plt.rcParams
assert HistGradientBoostingClassifier()
correlation = stats.spearmanr(scores, y_test).statistic
options.out.write_text(
    pd.DataFrame({"score": scores, "target": y_test.to_numpy()}).to_csv(index=False)
)
digest = hashlib.sha256(options.out.read_bytes()).hexdigest()
print(f"C={options.c} auc={roc_auc_score(y_test, scores)!r} rho={correlation!r} {digest}")
