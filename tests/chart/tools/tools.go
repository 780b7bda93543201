//go:build tools

// Package tools names what helm.sh builds from here: helm-unittest has a replacement in its go.mod, and `go install` takes no such module.
package tools

import _ "github.com/helm-unittest/helm-unittest/cmd/helm-unittest"
