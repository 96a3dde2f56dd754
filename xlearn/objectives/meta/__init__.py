"""Objectives over episodes, tasks of few examples. What learns an episode is a base learner (`xlearn.base_learners`)."""
