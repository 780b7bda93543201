{{- /*
model-exporter beside a model, for charts of models:

    initContainers:
      {{- include "model-exporter-sidecar.container" . | nindent 6 }}
    containers:
      - name: model
        readinessProbe:
          {{- include "model-exporter-sidecar.readinessProbe" . | nindent 10 }}
    volumes:
      {{- include "model-exporter-sidecar.volume" . | nindent 6 }}

and in a file of its own:

    {{- include "model-exporter-sidecar.configmap" . }}
*/ -}}

{{- define "model-exporter-sidecar.fullname" -}}
{{- printf "%s-model-exporter" (.Release.Name | trunc 48 | trimSuffix "-") -}}
{{- end -}}

{{- /* An init container that stays: it is there before the model and ends after it. It has no startupProbe, which would
keep the model from starting, and no readiness of its own: what the pod's readiness asks is the model's. */ -}}
{{- define "model-exporter-sidecar.container" -}}
{{- $values := index .Values "model-exporter-sidecar" -}}
{{- $image := $values.image -}}
- name: model-exporter
  image: {{ ($image.digest | empty | ternary (printf "%s:%s" $image.repository $image.tag) (printf "%s@%s" $image.repository $image.digest)) | quote }}
  imagePullPolicy: {{ $image.pullPolicy | quote }}
  restartPolicy: Always
  args:
    - run
    - --config=/etc/model-exporter/config.yaml
    - {{ printf "--listen=:%v" $values.containerPort | quote }}
    - {{ printf "--log-level=%s" $values.logLevel | quote }}
    {{- range $values.extraArgs }}
    - {{ . | quote }}
    {{- end }}
  {{- with $values.extraEnv }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - name: model-exporter
      containerPort: {{ $values.containerPort }}
      protocol: TCP
  livenessProbe:
    httpGet:
      path: /-/healthy
      port: model-exporter
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  {{- with $values.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - name: model-exporter
      mountPath: /etc/model-exporter
      readOnly: true
    {{- with $values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- /* The readiness of the model's container. The port is a number: a name would be looked for in that container. */ -}}
{{- define "model-exporter-sidecar.readinessProbe" -}}
{{- $values := index .Values "model-exporter-sidecar" -}}
httpGet:
  path: {{ printf "/ready/%s" ($values.target | urlquery | replace "+" "%20") | quote }}
  port: {{ $values.containerPort }}
periodSeconds: 5
timeoutSeconds: 2
failureThreshold: 3
{{- end -}}

{{- define "model-exporter-sidecar.volume" -}}
{{- $values := index .Values "model-exporter-sidecar" -}}
- name: model-exporter
  configMap:
    name: {{ $values.existingConfigMap | default (include "model-exporter-sidecar.fullname" .) | quote }}
{{- end -}}

{{- define "model-exporter-sidecar.configmap" -}}
{{- $values := index .Values "model-exporter-sidecar" -}}
{{- if not $values.existingConfigMap -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "model-exporter-sidecar.fullname" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
  labels:
    app.kubernetes.io/name: "model-exporter"
    app.kubernetes.io/instance: {{ .Release.Name | quote }}
    app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
data:
  config.yaml: |
    {{- toYaml $values.config | nindent 4 }}
{{- end -}}
{{- end -}}
