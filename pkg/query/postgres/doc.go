// Package postgres answers SQL over the wire protocol of Postgres, so that psql, Grafana and BI tools read what
// POST /query reads, through the same Engine.
//
// A Server is a living part with a listener of its own:
//
//	server, err := postgres.New(postgres.Default(), listener, engine, host)
//	err = server.Run(ctx)
//
// There are no users, no passwords and no TLS: it is off by default, and whoever reaches its port may read everything.
// Nothing can be written. Transactions begin and end without effect, and settings are taken and forgotten: clients use
// both for reading, too.
//
// The extended protocol names the columns of a statement before it is run: such a statement is prepared by the query
// process first, and its parameters become constants when it is run.
package postgres
