// Command etcd is the etcd server built from its module: the API server serves lists from its watch cache only with
// etcd 3.5.13 or later, and the packages of the distributions are older.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
