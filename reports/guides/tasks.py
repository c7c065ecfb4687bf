"""Where guides are compared: the small tasks, and MNIST as classes with one hidden layer."""

import bayesreg as br

mnist = br.datasets.load("mnist").take_train(5000)
net = br.nets.mlp(28 * 28, 10, hidden=[50])
tasks = ["synthetic", "digits", "diabetes", "housing", br.Task(net, mnist, name="mnist, classes", epochs=20)]
