"""Attribution maps: an engine that shares one forward pass, and one small file a method."""

from camaudit.explain.engine import Explanation, explain
from camaudit.explain.registry import Method, all_methods, get_method, method

__all__ = ["Explanation", "Method", "all_methods", "explain", "get_method", "method"]
