// Command kubelet stands in for the kubelets of a sample's nodes where the API server asks them for logs: a real one needs
// a container runtime, images and the pods' programs, and says no more to the collector than these files do.
//
// It serves LOGS/NAMESPACE/POD/CONTAINER.log, or LOGS/NAMESPACE/CONTAINER.log for every pod that has none of its own, and
// the same names with .previous.log. A line begins with an RFC 3339 timestamp. What LOGS/kubelet.log holds it prints when
// it starts, so that the journal of its unit has it.
package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	address := flag.String("address", ":10250", "where to serve")
	logs := flag.String("logs", "/var/log/sample", "folder of the logs")
	attached := flag.Bool("attached", false, "end when standard input ends, and with it whoever started this")
	flag.Parse()
	if *attached {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	}
	if text, err := os.ReadFile(filepath.Join(*logs, "kubelet.log")); err == nil {
		os.Stdout.Write(text)
	}
	certificate, err := selfSigned()
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		serveLog(*logs, w, r)
	})
	server := &http.Server{Addr: *address, Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}}
	log.Fatal(server.ListenAndServeTLS("", ""))
}

func serveLog(folder string, w http.ResponseWriter, r *http.Request) {
	namespace, pod, container := r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container")
	query, suffix := r.URL.Query(), ".log"
	if query.Get("previous") == "true" {
		suffix = ".previous.log"
	}
	text, err := os.ReadFile(filepath.Join(folder, namespace, pod, container+suffix))
	if err != nil {
		text, err = os.ReadFile(filepath.Join(folder, namespace, container+suffix))
	}
	if err != nil && query.Get("previous") == "true" {
		// The words of the real one, pkg/kubelet/kubelet_pods.go.
		http.Error(w, fmt.Sprintf("previous terminated container %q in pod %q not found", container, pod), http.StatusBadRequest)
		return
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	if n, err := strconv.Atoi(query.Get("tailLines")); err == nil && n+1 < len(lines) {
		lines = lines[len(lines)-n-1:]
	}
	left := -1
	if n, err := strconv.Atoi(query.Get("limitBytes")); err == nil {
		left = n
	}
	var since time.Time
	if n, err := strconv.Atoi(query.Get("sinceSeconds")); err == nil {
		since = time.Now().Add(-time.Duration(n) * time.Second)
	}
	for _, line := range lines {
		stamp, message, _ := strings.Cut(string(line), " ")
		if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil && at.Before(since) {
			continue
		}
		if query.Get("timestamps") != "true" {
			line = []byte(message)
		}
		if left >= 0 && len(line) > left {
			line = line[:left]
		}
		w.Write(line)
		if left >= 0 {
			left -= len(line)
		}
	}
}

// selfSigned makes a certificate as a kubelet without a signed one does; the API server of the samples verifies none.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber: big.NewInt(now.Unix()), Subject: pkix.Name{CommonName: "kubelet"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
