import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import Adj, OptTensor, SparseTensor
from torch_geometric.utils import scatter, spmm, to_edge_index
from torch_geometric.utils.sparse import is_sparse

from mentor_pyg.adjacency import Adjacency
from mentor_pyg.nn.functional import at_least_float, select


def light_gcn_norm(
    edge_index: Tensor,
    edge_weight: OptTensor,
    num_sources: int,
    num_targets: int,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    r"""Symmetric normalisation of LightGCN, for bipartite and homogeneous graphs.

    .. math::
        \hat{w}_{ji} = \frac{w_{ji}}{\sqrt{d_j^{\mathrm{out}} d_i^{\mathrm{in}}}}

    where the degrees are sums of edge weights, in float32 at least: half precision holds
    neither the sums nor the products of popular nodes. Nodes of degree zero stay without
    messages.

    Shapes:
        ``edge_index`` [2, num_edges], ``edge_weight`` [num_edges] (ones if ``None``),
        result [num_edges]
    """
    src, dst = edge_index[0], edge_index[1]
    if edge_weight is None:
        edge_weight = torch.ones(src.numel(), dtype=dtype, device=edge_index.device)
    weight = at_least_float(edge_weight)
    out_degree = scatter(weight, src, dim_size=num_sources, reduce="sum")
    in_degree = scatter(weight, dst, dim_size=num_targets, reduce="sum")
    degrees = out_degree[src] * in_degree[dst]
    normalized = weight * degrees.rsqrt().masked_fill(degrees == 0, 0.0)
    return normalized.to(edge_weight.dtype) if edge_weight.is_floating_point() else normalized


class LightGCNConv(MessagePassing):
    r"""One hop of LightGCN from the `"LightGCN: Simplifying and Powering Graph
    Convolution Network for Recommendation" <https://arxiv.org/abs/2002.02126>`_ paper,
    for homogeneous *and* bipartite graphs.

    .. math::
        \mathbf{x}^{\prime}_i = \sum_{j \in \mathcal{N}(i)}
        \frac{w_{ji}}{\sqrt{d_j d_i}} \, \mathbf{x}_j

    On undirected graphs it equals :class:`torch_geometric.nn.LGConv`, which knows no
    bipartite graphs. An :class:`~mentor_pyg.Adjacency` is the quick road for training:
    it is taken as already normalised, and neither sorts nor transposes anything again.

    Args:
        normalize (bool, optional): If set to :obj:`False`, edge weights are used as
            they are given. (default: :obj:`True`)
        **kwargs (optional): Additional arguments of
            :class:`torch_geometric.nn.conv.MessagePassing`.

    Shapes:
        - **input:** node features :math:`(|\mathcal{V}|, F)` or
          :math:`((|\mathcal{V}_s|, F), (|\mathcal{V}_t|, F))` if bipartite, where the
          second entry may be :obj:`None` if the adjacency says how many targets
          there are; edge indices :math:`(2, |\mathcal{E}|)` or a transposed sparse
          matrix; edge weights :math:`(|\mathcal{E}|)` *(optional)*; the targets
          wanted, :math:`(n)` *(optional, all if not given)*
        - **output:** node features :math:`(|\mathcal{V}_t|, F)` or :math:`(n, F)`
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
        x_src, x_dst = (x, x) if isinstance(x, Tensor) else x
        if isinstance(edge_index, Adjacency):
            return select(edge_index.matmul(x_src), rows)

        size = (x_src.size(0), None if x_dst is None else x_dst.size(0))
        if isinstance(edge_index, EdgeIndex):
            size = (size[0], edge_index.sparse_size(1) if x_dst is None else size[1])
            if edge_index.sparse_size() != (size[0], size[0]):
                # PyG's product guesses sizes it isn't told, and its gradient needs both equal.
                edge_index = edge_index.as_tensor()
        if self.normalize:
            edge_index, edge_weight = self._normalize(edge_index, edge_weight, x_src, size)
        # propagate_type: (x: Tensor, edge_weight: OptTensor)
        out = self.propagate(edge_index, x=(x_src, None), edge_weight=edge_weight, size=size)
        return select(out, rows)

    def _normalize(
        self, adj: Adj, edge_weight: OptTensor, x: Tensor, size: tuple[int, int | None]
    ) -> tuple[Adj, OptTensor]:
        if not is_sparse(adj):
            num_targets = size[1]
            if num_targets is None:
                raise ValueError("an 'edge_index' needs the features of the targets, too")
            index = adj.as_tensor() if isinstance(adj, EdgeIndex) else adj
            return adj, light_gcn_norm(index, edge_weight, size[0], num_targets, x.dtype)

        # Sparse matrices are transposed: rows are targets, columns are sources.
        num_targets, num_sources = adj.size(0), adj.size(1)
        if isinstance(adj, SparseTensor):
            row, col, value = adj.coo()
            index = torch.stack([col, row])
            weight = light_gcn_norm(index, value, num_sources, num_targets, x.dtype)
            return adj.set_value(weight, layout="coo"), None
        index, value = to_edge_index(adj)
        weight = light_gcn_norm(index.flip(0), value, num_sources, num_targets, x.dtype)
        return _with_values(adj, weight), None

    def message(self, x_j: Tensor, edge_weight: OptTensor) -> Tensor:
        return x_j if edge_weight is None else edge_weight.view(-1, 1) * x_j

    def message_and_aggregate(
        self, adj_t: Adj, x: tuple[Tensor, OptTensor], edge_weight: OptTensor = None
    ) -> Tensor:
        if isinstance(adj_t, EdgeIndex):
            return adj_t.matmul(x[0], edge_weight, reduce=self.aggr, transpose=True)
        return spmm(adj_t, x[0], reduce=self.aggr)


def _with_values(adj: Tensor, values: Tensor) -> Tensor:
    """The torch.sparse matrix ``adj`` with other values, given in its own order."""
    if adj.layout == torch.sparse_csr:
        parts = (adj.crow_indices(), adj.col_indices())
    elif adj.layout == torch.sparse_csc:
        parts = (adj.ccol_indices(), adj.row_indices())
    else:
        return torch.sparse_coo_tensor(
            adj.coalesce().indices(), values, adj.size(), is_coalesced=True
        )
    return torch.sparse_compressed_tensor(*parts, values, adj.size(), layout=adj.layout)
