"""Pictures of graphs: what a result was made of, down to the numbers that went in.

`draw_dot` and `trace` have the signatures of the functions by these names in the notebooks about
micrograd, and take Tensors as well. The layout is Graphviz's, through pygraphviz (extra `viz`).
"""

from gradlite.draw.dot import draw_dot
from gradlite.draw.graph import trace
from gradlite.draw.picture import Picture

__all__ = ["Picture", "draw_dot", "trace"]
