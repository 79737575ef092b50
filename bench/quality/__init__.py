"""How good suggestions are: HumanEval infilling, code of real packages, and how far confidence can be trusted."""
