"""The nine tasks of the paper, at sizes that two cores bear: a run takes a minute at most, and beats its baselines."""

CIFAR = "--width 8 --epochs 5 --batch-size 64 --lr 5e-3"

tasks = [
    "housing",
    "synthetic",
    f"cifar --train-size 5000 {CIFAR}",
    f"cifar --dataset cifar100 --train-size 10000 {CIFAR}",
    "mnist --train-size 20000 --hidden 200 --epochs 20 --batch-size 64 --lr 3e-3",
    "flowers --width 16 --epochs 20 --batch-size 16 --lr 3e-3",
    "imdb --words 10000 --length 128 --hidden 32 --epochs 5 --batch-size 32 --lr 1e-2",
    "beijing --train-size 100000",
    "beijing --net transformer --train-size 60000 --width 32 --epochs 2 --batch-size 128 --lr 3e-3",
]
