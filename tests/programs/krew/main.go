// Command krew is the plugin manager of kubectl, built from its module: what it installs from our manifest is what customers
// get.
package main

import "sigs.k8s.io/krew/cmd/krew/cmd"

func main() {
	cmd.Execute()
}
