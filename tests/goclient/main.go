// Command goclient answers what a Go TLS client says, one JSON line a question.
//
//	goclient HOST ADDRESS:PORT CAFILE LIMIT   one real handshake
//	goclient                                  batch of offline questions on stdin
//	goclient CHAINFILE KEYFILE 1.2|1.3        serves CHAINFILE as it is then, prints its address
package main

import (
	"bufio"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

type question struct {
	Served [][]byte
	Pool   []byte
	Host   string
	Now    time.Time
}

type answer struct {
	OK     bool   `json:"ok"`
	Error  string `json:"error"`
	Loaded int    `json:"loaded"`
}

func main() {
	if len(os.Args) == 5 {
		limit, _ := time.ParseDuration(os.Args[4])
		reply(answer{}, dial(os.Args[1], os.Args[2], os.Args[3], limit))
		return
	}
	if len(os.Args) == 4 {
		fmt.Fprintln(os.Stderr, serve(os.Args[1], os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	for decoder := json.NewDecoder(lines); ; {
		var q question
		if decoder.Decode(&q) != nil {
			return
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(q.Pool)
		reply(answer{Loaded: len(pool.Subjects())}, judge(q, pool))
	}
}

func reply(a answer, err error) {
	if a.OK = err == nil; err != nil {
		a.Error = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(a)
}

func dial(host, address, caFile string, limit time.Duration) error {
	roots, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(roots)
	conn, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit))
	config := &tls.Config{RootCAs: pool, ServerName: host, NextProtos: []string{"h2", "http/1.1"}}
	err = tls.Client(conn, config).Handshake()
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && string(header.RecordHeader[:]) == "HTTP/" {
		return errors.New("http: server gave HTTP response to HTTPS client") // as net/http does
	}
	return err
}

// serve shows whatever octets stand in the PEM blocks of chainFile, certificates or not.
func serve(chainFile, keyFile, version string) error {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13}
	if version == "1.2" {
		config.MaxVersion = tls.VersionTLS12
	}
	config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		rest, err := os.ReadFile(chainFile)
		shown := &tls.Certificate{PrivateKey: key}
		for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
			shown.Certificate = append(shown.Certificate, block.Bytes)
		}
		return shown, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			server := tls.Server(conn, config)
			if server.Handshake() == nil {
				_, _ = server.Read(make([]byte, 1))
			}
		}()
	}
}

// judge repeats offline what crypto/tls does with a Certificate message.
func judge(q question, roots *x509.CertPool) error {
	var certs []*x509.Certificate
	others := x509.NewCertPool()
	for i, der := range q.Served {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("tls: failed to parse certificate from server: %w", err)
		}
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > 8192 {
			return errors.New("tls: server sent certificate containing RSA key larger than 8192 bits")
		}
		if certs = append(certs, cert); i > 0 {
			others.AddCert(cert)
		}
	}
	_, err := certs[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, DNSName: q.Host, CurrentTime: q.Now,
	})
	if err != nil {
		return fmt.Errorf("tls: failed to verify certificate: %w", err)
	}
	switch certs[0].PublicKeyAlgorithm {
	case x509.RSA:
		return signatureKey(certs[0].PublicKey.(*rsa.PublicKey))
	case x509.ECDSA, x509.Ed25519:
		return nil
	}
	return fmt.Errorf("tls: server's certificate contains an unsupported type of public key: %T", certs[0].PublicKey)
}

// signatureKey says why no handshake signature by key can be right, nil when one could be.
func signatureKey(key *rsa.PublicKey) error {
	err := rsa.VerifyPKCS1v15(key, crypto.SHA256, make([]byte, 32), make([]byte, key.Size()))
	if err == nil || errors.Is(err, rsa.ErrVerification) {
		return nil
	}
	return fmt.Errorf("tls: invalid signature by the server certificate: %w", err)
}
