// Package metastore is typed access to the control-plane documents: cluster, nodes, epochs, chains, schema.
//
// Store reads and writes them through a KV, which is etcd (a client of a cluster, or a server embedded
// in this process) or the fake of metatest; one suite binds both. View is a process's watched, immutable
// copy of what it needs, so that reading metadata never blocks a request.
//
//	kv, err := metastore.OpenEmbedded(ctx, cfg, h)
//	store := metastore.New(kv.KV(), "localcluster", h)
//	cluster, err := store.Provision(ctx, &storedv1.Cluster{...})
//	view := metastore.NewView(store, defaults, h) // a lifecycle.Part
//
// # Key map (format 1)
//
// All keys start with "/reprise/v1/<cluster name>/". Numbers are fixed-width hexadecimal, so byte order
// is numeric order. Values are messages of api/stored, if nothing else is said.
//
//	cluster                        Cluster
//	names/<node name>              plain node id, decimal
//	nodes/<id:8>                   Node
//	generations/<id:8>             newest generation, decimal; outlives its node, so that no id is given out twice
//	presence/<id:8>                generation, decimal; bound to a lease
//	epochs/<partition:4>           Epoch
//	directives/<partition:4>       Directive: what an operator has decided about it
//	chains/<partition:4>           Chain: its last segments
//	pages/<partition:4>/<page:8>   Chain: 32 older segments, never changed
//	schema                         Schema: names the documents that hold its deployments
//	documents/<SHA-256:64>         a chunk of a Deployment, never changed
package metastore
