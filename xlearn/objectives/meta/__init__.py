"""Meta-learning: objectives over episodes. A base learner (`xlearn.base_learners`) learns each episode."""
