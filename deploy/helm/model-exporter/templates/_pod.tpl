{{- /* The pod of a Deployment and of a StatefulSet. */ -}}
{{- define "model-exporter.pod" -}}
metadata:
  labels:
    {{- include "model-exporter.labels" (list . .Values.pod.labels) | nindent 4 }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- include "model-exporter.texts" . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "model-exporter.serviceAccount" . | quote }}
  automountServiceAccountToken: {{ kindIs "bool" .Values.automountServiceAccountToken | ternary .Values.automountServiceAccountToken (include "model-exporter.asksKubernetes" . | eq "true") }}
  # Variables that tell of Services, MODEL_EXPORTER_PORT and so on, look like options and are none.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with include "model-exporter.pullSecrets" . | trim }}
  imagePullSecrets:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- if .Values.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.dnsPolicy | default (.Values.hostNetwork | ternary "ClusterFirstWithHostNet" "") }}
  dnsPolicy: {{ . | quote }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.extraInitContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: model-exporter
      image: {{ include "model-exporter.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
      args:
        - run
        - --config=/etc/model-exporter/config.yaml
        - {{ printf "--listen=:%v" .Values.containerPort | quote }}
        - {{ printf "--reload-interval=%s" .Values.reloadInterval | quote }}
        - {{ printf "--shutdown-grace=%s" .Values.shutdownGrace | quote }}
        - {{ printf "--log-level=%s" .Values.logLevel | quote }}
        - {{ printf "--log-format=%s" .Values.logFormat | quote }}
        {{- if eq .Values.kind "StatefulSet" }}
        - {{ printf "--shard=$(SHARD)/%v" .Values.replicas | quote }}
        {{- end }}
        {{- range .Values.extraArgs }}
        - {{ . | quote }}
        {{- end }}
      {{- if or .Values.extraEnv (eq .Values.kind "StatefulSet") }}
      env:
        {{- if eq .Values.kind "StatefulSet" }}
        - name: SHARD
          valueFrom:
            fieldRef:
              fieldPath: metadata.labels['apps.kubernetes.io/pod-index']
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: {{ .Values.containerPort }}
          protocol: TCP
      {{- range $key := list "livenessProbe" "readinessProbe" "startupProbe" "resources" "securityContext" }}
      {{- with get $.Values $key }}
      {{ $key }}:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      volumeMounts:
        # The whole folder: a file mounted by subPath is never brought up to date.
        - name: config
          mountPath: /etc/model-exporter
          readOnly: true
        {{- range concat .Values.extraConfigmapMounts .Values.extraSecretMounts }}
        - name: {{ .name | quote }}
          mountPath: {{ .mountPath | quote }}
          {{- with .subPath }}
          subPath: {{ . | quote }}
          {{- end }}
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: config
      {{- if or .Values.configExistingSecretName .Values.secretConfig }}
      secret:
        secretName: {{ .Values.configExistingSecretName | default (include "model-exporter.fullname" .) | quote }}
        items:
          - key: {{ .Values.configExistingSecretName | empty | ternary "config.yaml" .Values.configExistingSecretKey | quote }}
            path: config.yaml
      {{- else }}
      configMap:
        name: {{ include "model-exporter.fullname" . | quote }}
      {{- end }}
    {{- range .Values.extraConfigmapMounts }}
    - name: {{ .name | quote }}
      configMap:
        name: {{ .configMap | quote }}
        {{- with pick . "optional" "defaultMode" }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- end }}
    {{- range .Values.extraSecretMounts }}
    - name: {{ .name | quote }}
      secret:
        secretName: {{ .secretName | quote }}
        {{- with pick . "optional" "defaultMode" }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" }}
  {{- with get $.Values $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- $own := dict "labelSelector" (dict "matchLabels" (include "model-exporter.selectorLabels" $ | fromYaml)) }}
    {{- range . }}
    - {{- toYaml (hasKey . "labelSelector" | ternary . (merge (deepCopy .) $own)) | nindent 6 }}
    {{- end }}
  {{- end }}
{{- end -}}
