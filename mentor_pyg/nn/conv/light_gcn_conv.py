import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import Adj, OptTensor, SparseTensor
from torch_geometric.utils import scatter, spmm
from torch_geometric.utils.sparse import index2ptr

from mentor_pyg._util.shapes import check_edge_index, check_shapes
from mentor_pyg.errors import InputError
from mentor_pyg.nn.functional import at_least_float, select
from mentor_pyg.options import checked
from mentor_pyg.sparse.adjacency import Adjacency


def light_gcn_norm(
    edge_index: Tensor,
    edge_weight: OptTensor,
    num_sources: int,
    num_targets: int,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    r"""Symmetric normalisation of LightGCN for bipartite and homogeneous graphs.

    .. math::
        \hat{w}_{ji} = \frac{w_{ji}}{\sqrt{d_j^{\mathrm{out}} d_i^{\mathrm{in}}}}

    where degrees are sums of edge weights in at least float32, since half precision holds
    neither the sums nor the products of popular nodes. Isolated nodes receive no messages.
    Scaling all weights does not change the result.

    Shapes:
        ``edge_index`` [2, num_edges], ``edge_weight`` [num_edges] (ones if ``None``),
        result [num_edges]

    Raises:
        InputError: If shapes do not fit, or ``edge_index`` does not hold integers.
    """
    src, dst = check_edge_index("light_gcn_norm", edge_index)
    if edge_weight is None:
        edge_weight = torch.ones(src.numel(), dtype=dtype, device=edge_index.device)
    check_shapes("light_gcn_norm", edge_weight=(edge_weight, (src.numel(),)))
    weight = at_least_float(edge_weight)
    out_degree, out_root = _split_degree(scatter(weight, src, dim_size=num_sources, reduce="sum"))
    in_degree, in_root = _split_degree(scatter(weight, dst, dim_size=num_targets, reduce="sum"))
    degrees = out_degree[src] * in_degree[dst]
    weight = weight / (out_root[src] * in_root[dst])
    normalized = weight * degrees.rsqrt().masked_fill(degrees == 0, 0.0)
    return normalized.to(edge_weight.dtype) if edge_weight.is_floating_point() else normalized


def _split_degree(degree: Tensor) -> tuple[Tensor, Tensor]:
    """Splits degrees into a factor between 1/2 and 2 and the square of a power of two, so
    that products of two degrees neither overflow nor underflow. Returns the factor and the
    power. Powers of two cause no rounding."""
    exponent = degree.detach().frexp().exponent
    root = torch.ldexp(torch.ones_like(degree), exponent // 2)
    return degree / root / root, root


@checked
class LightGCNConv(MessagePassing):
    r"""One hop of LightGCN from the `"LightGCN: Simplifying and Powering Graph
    Convolution Network for Recommendation" <https://arxiv.org/abs/2002.02126>`_ paper,
    for homogeneous *and* bipartite graphs.

    .. math::
        \mathbf{x}^{\prime}_i = \sum_{j \in \mathcal{N}(i)}
        \frac{w_{ji}}{\sqrt{d_j d_i}} \, \mathbf{x}_j

    On undirected graphs it equals :class:`torch_geometric.nn.LGConv`, which does not support
    bipartite graphs. An :class:`~mentor_pyg.Adjacency` is the fastest input in training: it
    is taken as normalised, and nothing is sorted or transposed again.

    Args:
        normalize (bool, optional): If set to :obj:`False`, edge weights are used without
            normalisation. (default: :obj:`True`)
        **kwargs (optional): Additional arguments of
            :class:`torch_geometric.nn.conv.MessagePassing`.

    Gradients flow into features and edge weights for every form of the graph. Half precision
    is accumulated in float32.

    Shapes:
        - **input:** node features :math:`(|\mathcal{V}|, F)` or
          :math:`((|\mathcal{V}_s|, F), (|\mathcal{V}_t|, F))` if bipartite, where the
          second entry may be :obj:`None` if the adjacency holds the number of targets;
          edge indices :math:`(2, |\mathcal{E}|)` or a transposed sparse matrix of any
          layout; edge weights :math:`(|\mathcal{E}|)` *(optional, with edge indices
          only)*; indices of the targets to return :math:`(n)` *(optional, default: all)*
        - **output:** node features :math:`(|\mathcal{V}_t|, F)` or :math:`(n, F)`

    Raises:
        InputError: If shapes do not fit, edge weights are given beside a matrix, or
            an :class:`~mentor_pyg.Adjacency` is used with an aggregation other than the sum.
    """

    SUPPORTS_FUSED_EDGE_INDEX = True

    def __init__(self, normalize: bool = True, **kwargs):  # type: ignore[no-untyped-def]
        kwargs.setdefault("aggr", "add")
        super().__init__(**kwargs)
        self.normalize = normalize

    def forward(
        self,
        x: Tensor | tuple[Tensor, Tensor | None],
        edge_index: Adj | Adjacency,
        edge_weight: OptTensor = None,
        rows: OptTensor = None,
    ) -> Tensor:
        where = self.__class__.__name__
        x_src, x_dst = (x, x) if isinstance(x, Tensor) else x
        check_shapes(where, x=(x_src, ("N", "F")))
        if edge_weight is not None and (
            isinstance(edge_index, Adjacency) or _is_matrix(edge_index)
        ):
            raise InputError(
                f"{where}: 'edge_weight' was given beside a matrix; "
                "expected the weights as its entries"
            )
        if isinstance(edge_index, Adjacency):
            _check_targets(where, x, edge_index.num_targets)
            if self.aggr not in ("add", "sum"):
                raise InputError(f"{where}: aggr='{self.aggr}' with an Adjacency; expected 'add'")
            return select(edge_index.matmul(x_src), rows)

        if _is_matrix(edge_index):
            num_targets, num_sources = edge_index.size(0), edge_index.size(1)
            _check_targets(where, x, num_targets)
            check_shapes(where, x=(x_src, (num_sources, "F")))
            index, edge_weight = _edges(where, edge_index)
        else:
            index = check_edge_index(where, edge_index)
            num_sources = x_src.size(0)
            if x_dst is not None:
                num_targets = x_dst.size(0)
            elif isinstance(edge_index, EdgeIndex) and edge_index.sparse_size(1) is not None:
                num_targets = edge_index.sparse_size(1)
            else:
                raise InputError(
                    f"{where}: 'edge_index' does not define the number of targets; "
                    "expected the targets' features as well"
                )

        dtype = x_src.dtype
        if edge_weight is not None:
            check_shapes(where, edge_weight=(edge_weight, (index.size(1),)))
            if edge_weight.is_floating_point():
                dtype = torch.promote_types(dtype, edge_weight.dtype)
        wide = torch.promote_types(dtype, torch.float32)
        edge_weight = None if edge_weight is None else edge_weight.to(wide)
        if self.normalize:
            edge_weight = light_gcn_norm(index, edge_weight, num_sources, num_targets, wide)
        size = num_sources, num_targets
        graph, edge_weight = _quickest(edge_index, index, edge_weight, size, wide)
        # propagate_type: (x: Tensor, edge_weight: OptTensor)
        out = self.propagate(graph, x=(x_src.to(wide), None), edge_weight=edge_weight, size=size)
        return select(out.to(dtype), rows)

    def message(self, x_j: Tensor, edge_weight: OptTensor) -> Tensor:
        return x_j if edge_weight is None else edge_weight.view(-1, 1) * x_j

    def message_and_aggregate(
        self, adj_t: Adj, x: tuple[Tensor, OptTensor], edge_weight: OptTensor = None
    ) -> Tensor:
        if isinstance(adj_t, EdgeIndex):
            return adj_t.matmul(x[0], edge_weight, reduce=self.aggr, transpose=True)
        with torch.autocast(x[0].device.type, enabled=False):  # no kernels for half precision
            return spmm(adj_t, x[0], reduce=self.aggr)


def _is_matrix(adj: Adj) -> bool:
    if not isinstance(adj, Tensor | SparseTensor):
        raise InputError(f"a graph has type {type(adj)}; expected edge indices or a sparse matrix")
    return isinstance(adj, SparseTensor) or adj.layout != torch.strided


def _check_targets(where: str, x: Tensor | tuple[Tensor, OptTensor], num_targets: int) -> None:
    if not isinstance(x, Tensor) and x[1] is not None:
        check_shapes(where, x_dst=(x[1], (num_targets, "F")))


def _edges(where: str, adj: Tensor | SparseTensor) -> tuple[Tensor, OptTensor]:
    """Edges and values of a matrix whose rows are the targets, sorted by target."""
    if isinstance(adj, SparseTensor):
        row, col, value = adj.coo()
        return torch.stack([col, row]), value
    if adj.dim() != 2:
        raise InputError(f"{where}: the matrix has shape {list(adj.shape)}; expected [N, N]")
    adj = adj.to_sparse_coo().coalesce()
    return adj.indices().flip(0), adj.values()


def _quickest(
    adj: Adj, index: Tensor, weight: OptTensor, size: tuple[int, int], dtype: torch.dtype
) -> tuple[Adj, OptTensor]:
    """The form of the graph and its weights with the fastest product."""
    if isinstance(adj, EdgeIndex):
        # PyG infers missing sizes, and its gradient needs a square matrix.
        return (adj if adj.sparse_size() == (size[0], size[0]) else index), weight
    if not _is_matrix(adj) or (weight is not None and weight.requires_grad):
        return index, weight
    if weight is None:
        weight = torch.ones(index.size(1), dtype=dtype, device=index.device)
    parts = index2ptr(index[1], size[1]), index[0], weight
    return torch.sparse_csr_tensor(*parts, (size[1], size[0]), check_invariants=False), None
